"""Virtual CPUs: a stack, a context, a packet and a state each; a run has one to itself."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from osmia.errors import ClosedError, KernelError
from osmia.vm import layout
from osmia.vm.memory import Memory


@dataclass(frozen=True, slots=True)
class Cpu:
    """One virtual CPU: its number, its block of the region, its state in control memory."""

    number: int
    block: int
    state: int

    @property
    def stack_top(self) -> int:
        """The frame pointer of a program."""
        return self.block + layout.CPU_STACK_SIZE - layout.FRAME_SIZE

    @property
    def context(self) -> int:
        """Where the context of a run lies."""
        return self.block + layout.CPU_CONTEXT

    @property
    def packet(self) -> int:
        """Where the packet's data starts, its head room before it."""
        return self.block + layout.CPU_PACKET + layout.PACKET_HEADROOM


class Cpus:
    """The CPUs of a vm. Whoever runs a program takes one; the others wait."""

    def __init__(self, memory: Memory, count: int) -> None:
        if not 1 <= count <= 1024:
            raise ValueError(f"{count} CPUs: 1 to 1024 are possible")
        blocks = memory.region.allocate(count * layout.CPU_BLOCK, layout.CPU_BLOCK)
        states = memory.control.allocate(count * layout.CPU_STATE_SIZE, layout.CPU_STATE_SIZE)
        self.first_block, self.first_state = blocks, states
        self._all = [
            Cpu(n, blocks + n * layout.CPU_BLOCK, states + n * layout.CPU_STATE_SIZE)
            for n in range(count)
        ]
        for cpu in self._all:
            memory.store32(cpu.state + layout.STATE_CPU, cpu.number)
            memory.store64(cpu.state + layout.STATE_RANDOM, 0x9E37_79B9_7F4A_7C15 + cpu.number)
        self._free = list(reversed(self._all))
        self._changed = threading.Condition()
        self._takers: list[int] = []
        self._closed = False

    def __len__(self) -> int:
        return len(self._all)

    @property
    def idle(self) -> bool:
        """Whether no run has a CPU now."""
        return len(self._free) == len(self._all)

    def state_of(self, frame: int) -> int:
        """The state of the CPU whose block an address lies in."""
        number = (frame - self.first_block) >> layout.CPU_SHIFT
        return self.first_state + number * layout.CPU_STATE_SIZE

    def of_frame(self, frame: int) -> Cpu:
        """The CPU whose block an address lies in."""
        return self._all[(frame - self.first_block) >> layout.CPU_SHIFT]

    @contextmanager
    def take(self) -> Iterator[Cpu]:
        """A CPU for this run; the lowest free number. ClosedError after `close`."""
        taker = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: self._free or self._closed)
            if self._closed:
                raise ClosedError("the vm is closed")
            cpu = min(self._free, key=lambda free: free.number)
            self._free.remove(cpu)
            self._takers.append(taker)
        try:
            yield cpu
        finally:
            with self._changed:
                self._takers.remove(taker)
                self._free.append(cpu)
                self._changed.notify_all()

    @contextmanager
    def paused(self) -> Iterator[bool]:
        """Nobody is given a CPU meanwhile; whether nobody has one."""
        with self._changed:
            yield self.idle

    def close(self) -> None:
        """Wait for those who have a CPU, and give none any more. Raises KernelError (EBUSY) in
        a run's own callback, which would wait for itself."""
        with self._changed:
            if threading.get_ident() in self._takers:
                raise KernelError(errno.EBUSY, "close a vm from a run of its programs")
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.idle)
