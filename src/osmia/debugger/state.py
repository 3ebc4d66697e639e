"""What a run can change, captured and put back: memory, frames, what Python keeps beside them.

Memory is kept in chunks; those that are as they were in the capture before are shared with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from osmia.records import dataclass, replace
from osmia.vm import layout
from osmia.vm.access import StackFrame

if TYPE_CHECKING:
    from osmia.debugger.callbacks import Going
    from osmia.debugger.machine import Machine
    from osmia.vm.cpu import Cpu
    from osmia.vm.engine import Vm
    from osmia.vm.helpers.timers import Queue
    from osmia.vm.interpreter import Frame

CHUNK = 1 << 14
_ZEROS = bytes(CHUNK)

Chunks = Mapping[int, bytes]
"""Memory by address."""


@dataclass(frozen=True, slots=True)
class Registers:
    """What is changed of one frame from outside: its registers, which bytes of its stack hold
    anything, which registers (bits) hold pointers."""

    values: tuple[int | None, ...]
    written: bytes
    pointers: int


@dataclass(frozen=True, slots=True)
class Change:
    """What became of memory and of the active frames between two instructions, or in one."""

    memory: Chunks
    frames: tuple[Registers, ...]

    def apply(self, machine: Machine) -> None:
        """Let it happen again."""
        for address, data in self.memory.items():
            machine.memory.write(address, data)
        for index, (frame, held) in enumerate(zip(machine.frames, self.frames, strict=True)):
            frame.registers[:] = held.values
            machine.tracking.masks[index] = held.pointers
            if frame.stack is not None:
                frame.stack.written[:] = held.written


@dataclass(frozen=True, slots=True)
class Mark:
    """Memory and frames at one moment."""

    memory: Chunks
    frames: tuple[Registers, ...]

    def change_until(self, later: Mark) -> Change | None:
        """What differs in a later capture that was made with this one's memory; None: nothing."""
        known = self.memory
        memory = {a: data for a, data in later.memory.items() if known.get(a) is not data}
        if not memory and self.frames == later.frames:
            return None
        return Change(memory, later.frames)


def capture_memory(vm: Vm, cpu: Cpu, before: Chunks | None = None) -> Chunks:
    """All memory that a run on this CPU can change: its block and state, and all maps."""
    memory = vm.memory
    blocks = [(cpu.block, layout.CPU_PACKET + layout.CPU_PACKET_SIZE)]
    blocks.append((cpu.state, layout.CPU_STATE_SIZE))
    for body in list(vm.lifetimes.maps.values()):
        if not body.released:
            blocks += _sizes(vm, body.memory_blocks)
    blocks += [(each.address, each.size) for each in vm.objects.values()]
    known = before or {}
    found = {}
    for start, size in blocks:
        for address in range(start, start + size, CHUNK):
            data = memory.read(address, min(CHUNK, start + size - address))
            held = known.get(address, _ZEROS)
            found[address] = held if held == data else data
    return found


def _sizes(vm: Vm, blocks: Iterable[int]) -> list[tuple[int, int]]:
    memory = vm.memory
    return [
        (address, (memory.region if address < memory.size else memory.control).size_of(address))
        for address in blocks
    ]


def capture_frames(machine: Machine) -> tuple[Registers, ...]:
    """What may be changed of frames."""
    return tuple(
        Registers(
            tuple(frame.registers), bytes(frame.stack.written) if frame.stack else b"", pointers
        )
        for frame, pointers in zip(machine.frames, machine.tracking.masks, strict=False)
    )


class Beside:
    """What Python keeps of a vm beside its memory: printed lines, events, stacks, timers,
    objects."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self._trace = tuple(vm.trace)
        bodies = list(vm.lifetimes.maps.values())
        self._queues = [
            (each.queue, tuple(each.queue.events), each.queue.waiting, each.queue.lost)
            for each in bodies
            if each.queue is not None
        ]
        self._stacks = [(each.stacks, dict(each.stacks)) for each in bodies if each.stacks]
        self._all_stacks = [each.stacks for each in bodies]
        self._written = [(each, bytes(each)) for each in vm.sequences.values()]
        self._deferred = _copied_queue(vm.deferred)
        self._objects = {address: replace(each) for address, each in vm.objects.items()}

    def restore(self) -> None:
        """Put it back."""
        _refill(self._vm.trace, self._trace)
        for queue, events, waiting, lost in self._queues:
            _refill(queue.events, events)
            queue.waiting, queue.lost = waiting, lost
        for text, text_held in self._written:
            text[:] = text_held
        self._vm.deferred = _copied_queue(self._deferred)
        self._restore_objects()

    def _restore_objects(self) -> None:
        """Have the objects that programs had allocated, where they were."""
        vm = self._vm
        for address in list(vm.objects):
            vm.areas.remove(address)
            vm.memory.region.free(address)
        vm.objects.clear()
        for address, kept in self._objects.items():
            vm.memory.region.claim(address, kept.size)
            vm.objects[address] = made = replace(kept)
            vm.areas.add(address, max(kept.size, 1), made)
        for stacks in self._all_stacks:
            stacks.clear()
        for stacks, held in self._stacks:
            stacks.update(held)


def _copied_queue(queue: Queue | None) -> Queue | None:
    """What programs put off, to be changed on its own."""
    if queue is None:
        return None
    return replace(queue, items={number: replace(item) for number, item in queue.items.items()})


def _refill(queue: deque[str] | deque[tuple[int, bytes]], held: tuple[object, ...]) -> None:
    queue.clear()
    queue.extend(held)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All of a run before the instruction at `position`: from here it can go on again."""

    position: int
    budget: int
    memory: Chunks
    frames: tuple[Frame, ...]
    entries: tuple[int, ...]
    pointers: tuple[tuple[int, ...], frozenset[int]]
    result: int | None
    going: Going | None
    time: int | None
    round: int
    beside: Beside

    @classmethod
    def of(cls, machine: Machine, before: Chunks | None = None) -> Checkpoint:
        """That of a run now, while no helper calls back."""
        return cls(
            machine.position,
            machine.budget,
            capture_memory(machine.vm, machine.cpu, before),
            tuple(copied(frame) for frame in machine.frames),
            tuple(machine.entries),
            (tuple(machine.tracking.masks), frozenset(machine.tracking.spilled)),
            machine.result,
            machine.callbacks.going,
            machine.callbacks.time,
            machine.rounds.number if machine.rounds is not None else 0,
            Beside(machine.vm),
        )

    def restore(self, machine: Machine) -> None:
        """Be there again."""
        machine.abandon_calls()
        self.beside.restore()
        memory = machine.memory
        for address, data in self.memory.items():
            if memory.read(address, len(data)) != data:
                memory.write(address, data)
        machine.position, machine.budget = self.position, self.budget
        machine.frames[:] = [copied(frame) for frame in self.frames]
        machine.entries[:] = self.entries
        machine.tracking.masks[:] = self.pointers[0]
        machine.tracking.spilled = set(self.pointers[1])
        machine.access.stack.frames[:] = [f.stack for f in machine.frames if f.stack is not None]
        machine.result = self.result
        machine.callbacks.go_back(self.going, self.time)
        if machine.rounds is not None:
            machine.rounds.number = self.round


def copied(frame: Frame) -> Frame:
    """A frame with registers and a stack of its own."""
    stack = None
    if frame.stack is not None:
        stack = StackFrame(frame.stack.end)
        stack.written[:] = frame.stack.written
    return replace(frame, registers=frame.registers.copy(), stack=stack)
