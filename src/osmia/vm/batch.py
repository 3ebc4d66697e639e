"""Batch runs: many packets through a compiled program in one native loop.

Addresses of the caller's buffers are given as distances from the vm's memory, modulo
2**64, so that native functions reach them like everything else.
"""

from __future__ import annotations

import array
import ctypes
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from osmia.errors import KernelError, NotSupportedError
from osmia.object.uapi import ProgramType
from osmia.vm.budgets import JIT_BUDGET, budget_of
from osmia.vm.contexts import PLAIN, layout_for
from osmia.vm.errors import Interrupt
from osmia.vm.jit.door import run_many
from osmia.vm.layout import (
    CPU_CONTEXT,
    CPU_PACKET,
    CPU_PACKET_SIZE,
    CPU_STACK_SIZE,
    FRAME_SIZE,
    MAX_PACKET,
    PACKET_HEADROOM,
    STATE_BUDGET,
    STATE_CONTEXT,
    STATE_DATA,
    STATE_DATA_END,
    STATE_DETAIL,
    STATE_INTERRUPT,
    STATE_PACKET_END,
    STATE_PACKET_HIGH,
    STATE_PACKET_LOW,
    STATE_PACKET_START,
    STATE_PAGED,
    STATE_READ_ONLY,
    STATE_REST,
    STATE_TAIL_CALLS,
    XDP_FRAME,
)
from osmia.vm.native import (
    call_program,
    call_raw,
    copy,
    cpu_state,
    interrupt,
    late,
    load32,
    load64,
    native,
    replaces_program,
    store32,
    store64,
    zero,
)
from osmia.vm.sk_buff import LOOPBACK, skb_place
from osmia.vm.tiers import generates

if TYPE_CHECKING:
    from osmia.vm.dispatcher import Dispatcher
    from osmia.vm.programs import VmProgram
    from osmia.vm.words import Tier

KIND_RAW = 0
KIND_XDP = 1
KIND_SKB = 2
KIND_SKB_L3 = 3
KIND_SKB_READ = 4  # from the network header on, and not to be written to

_CONTEXT_AT = CPU_CONTEXT - (CPU_STACK_SIZE - FRAME_SIZE)
_PACKET_AT = CPU_PACKET + PACKET_HEADROOM - (CPU_STACK_SIZE - FRAME_SIZE)
"""Distances from a program's frame pointer."""
XDP_ROOM = 4096 - PACKET_HEADROOM - 320
PACKET_ROOM = CPU_PACKET_SIZE - PACKET_HEADROOM
_M64 = 0xFFFF_FFFF_FFFF_FFFF
_TAIL_CALL = int(Interrupt.TAIL_CALL)
SHORTEST = 14
SKB_SIZE = 192


@native
def forget_packets(state: int, start: int, end: int) -> int:
    """Zero what earlier packets left before and behind one that lies here now."""
    low = load32(state + STATE_PACKET_LOW)
    high = load32(state + STATE_PACKET_HIGH)
    if low < start and low != 0:
        zero(low, start - low)
    if high > end:
        zero(end, high - end)
    store32(state + STATE_PACKET_LOW, start)
    store32(state + STATE_PACKET_HIGH, end)
    return 0


@native
def batch_state(frame: int, kind: int, context: int, data: int, size: int, limit: int) -> int:
    """Start a run's state."""
    state = cpu_state(frame)
    store64(state + STATE_INTERRUPT, 0)
    store32(state + STATE_TAIL_CALLS, 0)
    store64(state + STATE_BUDGET, limit)
    store64(state + STATE_CONTEXT, context)
    lowest = data - PACKET_HEADROOM
    room = PACKET_ROOM
    if kind == KIND_XDP:
        lowest = lowest + XDP_FRAME
        if size <= XDP_ROOM:
            room = XDP_ROOM
    forget_packets(state, data, data + size)
    store32(state + STATE_PAGED, 0)
    store32(state + STATE_READ_ONLY, 1 if kind == KIND_SKB_READ else 0)
    store64(state + STATE_PACKET_START, lowest)
    store64(state + STATE_PACKET_END, data + room)
    return state


@native
def batch_one(frame: int, entry: int, kind: int, size: int, limit: int) -> int:
    """Run the packet that lies in the CPU's block."""
    context = frame + _CONTEXT_AT
    data = frame + _PACKET_AT
    state = batch_state(frame, kind, context, data, size, limit)
    if kind == KIND_RAW:
        return call_raw(entry, frame, data, size)
    if kind == KIND_XDP:
        store32(state + STATE_DATA, 0)
        store32(state + STATE_DATA_END, 4)
        store32(context + 0, data)
        store32(context + 4, data + size)
        store32(context + 8, data)
        store64(context + 12, LOOPBACK)
        store32(context + 20, 0)
    else:
        store32(state + STATE_DATA, 76)
        store32(state + STATE_DATA_END, 80)
        begin = data + SHORTEST if kind >= KIND_SKB_L3 else data
        zero(context, SKB_SIZE)
        if skb_place(state, context, data, size, begin) != 0:
            return interrupt(frame, Interrupt.PACKET, size)
    verdict = call_program(entry, frame, context)
    while replaces_program() and load64(state + STATE_INTERRUPT) == _TAIL_CALL:
        store64(state + STATE_INTERRUPT, 0)
        verdict = call_program(load64(state + STATE_DETAIL), frame, context)
    return verdict


@native
def batch_run(
    frame: int,
    entry: int,
    kind: int,
    packets: int,
    offsets: int,
    count: int,
    verdicts: int,
    limit: int,
    rest: int,
    deadline: int,
) -> int:
    """Run `count` packets; where each starts and ends is in `offsets` (count + 1 u64). Gives
    how many ran: fewer when one was interrupted, or when it was late. Each
    may take `limit` instructions, and `rest` in further slices."""
    state = cpu_state(frame)
    done = 0
    while done < count:
        store64(state + STATE_REST, rest)
        start = load64(offsets + 8 * done)
        size = load64(offsets + 8 * done + 8) - start
        copy(frame + _PACKET_AT, packets + start, size)
        store32(verdicts + 4 * done, batch_one(frame, entry, kind, size, limit))
        if load64(state + STATE_INTERRUPT) != 0:
            return done
        done = done + 1
        if late(done, deadline):
            break
    return done


_KINDS = {
    None: KIND_RAW,
    ProgramType.XDP: KIND_XDP,
}


def kind_of(program_type: ProgramType | None) -> int:
    """How packets are given to a program of this type; NotSupportedError for those that take
    none."""
    if program_type in _KINDS:
        return _KINDS[program_type]
    layout = layout_for(program_type)
    if layout is PLAIN:
        raise NotSupportedError(f"programs of type {program_type} take no packets")
    if not layout.changes:
        return KIND_SKB_READ
    return KIND_SKB if layout.l2 else KIND_SKB_L3


class Batch:
    """Packets packed for a native loop: the bytes, and where each starts and ends."""

    def __init__(self, packets: Iterable[bytes]) -> None:
        parts = list(packets)
        try:
            self.data = b"".join(parts)
        except TypeError as error:
            raise TypeError(f"packets are bytes: {error}") from None
        ends = [0]
        for part in parts:
            ends.append(ends[-1] + len(part))
        self.offsets = array.array("Q", ends)
        sizes = [len(part) for part in parts]
        if sizes and max(sizes) > MAX_PACKET:
            raise KernelError(22, f"run on a packet of {max(sizes)} bytes")
        self.shortest = min(sizes, default=SHORTEST)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[bytes]:
        for start, end in pairwise(self.offsets):
            yield self.data[start:end]


def run(
    program: VmProgram,
    packets: Batch | Iterable[bytes],
    budget: int | None,
    repeat: int,
    dispatcher: Dispatcher | None = None,
) -> Sequence[int]:
    """The verdicts of a program, or of what a dispatcher has when a packet's turn comes, in
    order (of the last time with `repeat`)."""
    program.check_loaded()
    batch = packets if isinstance(packets, Batch) else Batch(packets)
    kind = kind_of(program.type)
    if kind != KIND_RAW and batch.shortest < SHORTEST:
        raise KernelError(22, f"run program {program.name!r}: a packet shorter than 14 bytes")
    limit = budget_of(budget, JIT_BUDGET)
    jit = program.vm.jit
    if jit is None or program.throws:
        return _interpreted(program, batch, budget, repeat, dispatcher)
    memory = program.vm.memory
    verdicts = (ctypes.c_uint32 * len(batch))()
    data = ctypes.create_string_buffer(batch.data, max(len(batch.data), 1))
    offsets = (ctypes.c_uint64 * len(batch.offsets)).from_buffer(batch.offsets)

    def distance(buffer: Any) -> int:
        return (ctypes.addressof(buffer) - memory.base) & _M64

    given, starts, results = distance(data), distance(offsets), distance(verdicts)
    lease = program.vm.cpus.lease()
    try:
        with lease.token:
            cpu = lease.take()
            top, door = cpu.stack_top, jit.door(cpu)
            program.check_loaded()
            if dispatcher is None:
                loop, entry = jit.native("batch_run"), jit.program(program).entry
            else:
                loop, entry = jit.batch(dispatcher, kind), 0

            def some(done: int, count: int, first: int, rest: int, late: int) -> int:
                at, to = starts + 8 * done & _M64, results + 4 * done & _M64
                return loop(top, entry, kind, given, at, count, to, first, rest, late)

            for _ in range(repeat):
                done = run_many(door, len(batch), limit, some)
                if done < len(batch):
                    program.raise_fault(cpu, jit, f" (packet {done})")
    finally:
        program.vm.cpus.freed()
    return array.array("I", bytes(verdicts))


def _interpreted(
    program: VmProgram,
    batch: Batch,
    budget: int | None,
    repeat: int,
    dispatcher: Dispatcher | None,
) -> Sequence[int]:
    verdicts = array.array("I", bytes(4 * len(batch)))
    for _ in range(repeat):
        for number, packet in enumerate(batch):
            runner = program if dispatcher is None else dispatcher.program
            executor: Tier = "generated" if generates(runner) else "interpreter"
            result = runner.execute(packet, executor=executor, budget=budget)
            verdicts[number] = result.retval & 0xFFFF_FFFF
    return verdicts
