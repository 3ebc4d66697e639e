"""Timers and work queues: what programs put off, for a test's clock to bring (`osmia.vm.deferred`).

A struct bpf_timer or bpf_wq in a map's value holds the number of what was put off, which goes with
the value: a new entry has none.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from osmia.records import dataclass, field
from osmia.vm.errors import ProgramFault, describe_call
from osmia.vm.helpers.table import Argument, Invocation, helper
from osmia.vm.maps.constants import E_BUSY, E_INVAL, M32, M64

if TYPE_CHECKING:
    from osmia.vm.engine import Vm
    from osmia.vm.maps.body import MapBody
    from osmia.vm.programs import VmProgram

CLOCKS = (0, 1, 7)  # CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME
ABSOLUTE, PINNED = 1, 2  # BPF_F_TIMER_ABS, BPF_F_TIMER_CPU_PIN
E_DEADLOCK = -35 & M64
SIZE = 16
"""Bytes of struct bpf_timer and struct bpf_wq."""


@dataclass(eq=False, slots=True)
class Deferred:
    """A timer or a work item: where it is, what it calls (a function of a program), and when it is
    due, in ns of the clock that the helper for the time shows; None while it is not started."""

    map: MapBody
    address: int
    kind: str = "timer"
    program: VmProgram | None = None
    slot: int = 0
    due: int | None = None
    order: int = 0
    running: bool = False


@dataclass(slots=True)
class Queue:
    """All that programs of one vm put off, by its number."""

    items: dict[int, Deferred] = field(default_factory=dict)
    numbers: int = 0
    orders: int = 0

    def start(self, item: Deferred, due: int) -> None:
        """Have an item called at a time, after all that are due then already."""
        self.orders += 1
        item.due, item.order = due, self.orders

    def next(self, vm: Vm, until: int) -> Deferred | None:
        """What is due first, up to a time. What has no entry any more is forgotten."""
        for number, item in list(self.items.items()):
            if not _is_there(vm, number, item):
                del self.items[number]
        due = [item for item in self.items.values() if item.due is not None and item.due <= until]
        return min(due, key=lambda item: (item.due, item.order), default=None)


def _is_there(vm: Vm, number: int, item: Deferred) -> bool:
    """Whether the entry is that which the item was made in."""
    body, program = item.map, item.program
    if vm.lifetimes.maps.get(body.number) is not body:
        return False
    if program is not None and program.number not in vm.lifetimes.programs:
        return False
    live = body.forbids(item.address, SIZE, False) is None
    return live and vm.memory.load64(item.address) == number


def _make(call: Invocation, address: int, handle: int, kind: str) -> int:
    body = call.vm.map_of(handle)
    if body is None or call.vm.areas.owner(address) is not body:
        raise ProgramFault(f"{address:#x} is in no value of the map {handle:#x}")
    if _find(call, address) is not None:
        return E_BUSY
    queue = call.vm.deferred = call.vm.deferred or Queue()
    queue.numbers += 1
    queue.items[queue.numbers] = Deferred(body, address, kind)
    call.vm.memory.store64(address, queue.numbers)
    return 0


def _find(call: Invocation, address: int) -> Deferred | None:
    queue = call.vm.deferred
    if queue is None:
        return None
    number = call.vm.memory.load64(call.vm.reachable(address, SIZE))
    found = queue.items.get(number)
    return found if found is not None and found.address == address else None


def _set_callback(call: Invocation, address: int, callback: int) -> int:
    item = _find(call, address)
    if item is None:
        return E_INVAL
    program = call.program()
    slot = program.code.function_of(callback)
    if slot is None:
        raise ProgramFault(describe_call(callback))
    item.program, item.slot = program, slot
    return 0


def _now(call: Invocation) -> int:
    told = call.ask("ktime_get_ns")
    return time.monotonic_ns() if told is None else told


@helper("timer_init", Argument.ANY, Argument.MAP, Argument.ANY)
def timer_init(call: Invocation, timer: int, handle: int, flags: int) -> int:
    """bpf_timer_init, since 5.15; all clocks are one."""
    if flags not in CLOCKS:
        return E_INVAL
    return _make(call, timer, handle, "timer")


@helper("timer_set_callback", Argument.ANY, Argument.CALLBACK, tells_program=True)
def timer_set_callback(call: Invocation, timer: int, callback: int) -> int:
    """bpf_timer_set_callback, since 5.15."""
    return _set_callback(call, timer, callback)


@helper("timer_start", Argument.ANY, Argument.ANY, Argument.ANY)
def timer_start(call: Invocation, timer: int, wait: int, flags: int) -> int:
    """bpf_timer_start, since 5.15: in so many ns, or at a time."""
    item = _find(call, timer)
    if flags & ~(ABSOLUTE | PINNED) or item is None or item.program is None:
        return E_INVAL
    assert call.vm.deferred is not None
    call.vm.deferred.start(item, wait if flags & ABSOLUTE else _now(call) + wait)
    return 0


@helper("timer_cancel", Argument.ANY)
def timer_cancel(call: Invocation, timer: int) -> int:
    """bpf_timer_cancel, since 5.15: whether it was started. It calls nothing any more then."""
    item = _find(call, timer)
    if item is None:
        return E_INVAL
    if item.running:
        return E_DEADLOCK
    started, item.due, item.program = item.due is not None, None, None
    return int(started)


@helper("wq_init", Argument.ANY, Argument.MAP, Argument.ANY)
def wq_init(call: Invocation, work: int, handle: int, flags: int) -> int:
    """bpf_wq_init, since 6.10."""
    return E_INVAL if flags & M32 else _make(call, work, handle, "work")


@helper("wq_set_callback", Argument.ANY, Argument.CALLBACK, Argument.ANY, tells_program=True)
@helper("wq_set_callback_impl", Argument.ANY, Argument.CALLBACK, Argument.ANY, tells_program=True)
def wq_set_callback(call: Invocation, work: int, callback: int, flags: int) -> int:
    """bpf_wq_set_callback, since 6.10."""
    return E_INVAL if flags & M32 else _set_callback(call, work, callback)


@helper("wq_start", Argument.ANY, Argument.ANY)
def wq_start(call: Invocation, work: int, flags: int) -> int:
    """bpf_wq_start, since 6.10: at once, but after the run."""
    item = _find(call, work)
    if flags & M32 or item is None:
        return E_INVAL
    if item.due is None and item.program is not None:
        assert call.vm.deferred is not None
        call.vm.deferred.start(item, _now(call))
    return 0
