"""Virtual CPUs: a stack, a context, a packet and a state each; a run has one to itself."""

from __future__ import annotations

import errno
from _thread import allocate_lock, get_ident
from collections.abc import Iterator
from contextlib import contextmanager

from osmia.errors import ClosedError, KernelError
from osmia.locks import Order, at_fork, make_lock
from osmia.protocols import Protocol
from osmia.vm import layout
from osmia.vm.memory import Memory

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from threading import Condition

_AGAIN = 0.02
"""Seconds after which whoever waits looks again: a run that a signal ended may tell nobody."""


class Cpu:
    """One virtual CPU: its number, its block of the region, its state in control memory.

    `stack_top` is the frame pointer of a program, `context` where the context of a run lies,
    `packet` where the packet's data starts, its head room before it.
    """

    __slots__ = ("block", "context", "number", "packet", "stack_top", "state")

    def __init__(self, number: int, block: int, state: int) -> None:
        self.number = number
        self.block = block
        self.state = state
        self.stack_top = block + layout.CPU_STACK_SIZE - layout.FRAME_SIZE
        self.context = block + layout.CPU_CONTEXT
        self.packet = block + layout.CPU_PACKET + layout.PACKET_HEADROOM


class Stoppable(Protocol):
    """An interpreted run, which `close` ends."""

    def stop(self) -> None:
        """End at the next instruction."""


class Lease:
    """One run's claim on a CPU. It has one from `take` on for as long as `token` is locked:

        lease = vm.cpus.lease()
        with lease.token:
            cpu = lease.take()
            ...

    The token is a lock, and taken by `with` itself: no signal's handler can raise between
    taking it and the block, nor between the block and giving it back. A run that stands still in
    a debugger is `suspended`: closing the vm ends it.
    """

    __slots__ = ("_cpus", "running", "suspended", "thread", "token")

    def __init__(self, cpus: Cpus) -> None:
        self._cpus = cpus
        self.token = allocate_lock()
        self.thread = get_ident()
        self.running: Stoppable | None = None
        self.suspended = False

    def take(self) -> Cpu:
        """A CPU; the lowest free number. ClosedError after `close`; KernelError (EBUSY) when
        there will never be one: all are taken by runs whose helpers wait for one too."""
        return self._cpus.give(self)


class Cpus:
    """The CPUs of a vm. Whoever runs a program takes one; the others wait."""

    def __init__(self, memory: Memory, count: int) -> None:
        if not 1 <= count <= 1024:
            raise ValueError(f"{count} CPUs: 1 to 1024 are possible")
        blocks = memory.region.allocate(count * layout.CPU_BLOCK, layout.CPU_BLOCK)
        states = memory.control.allocate(count * layout.CPU_STATE_SIZE, layout.CPU_STATE_SIZE)
        self.first_block, self.first_state = blocks, states
        self._memory = memory
        self._all = [
            Cpu(n, blocks + n * layout.CPU_BLOCK, states + n * layout.CPU_STATE_SIZE)
            for n in range(count)
        ]
        for cpu in self._all:
            memory.store32(cpu.state + layout.STATE_CPU, cpu.number)
            memory.store64(cpu.state + layout.STATE_RANDOM, 0x9E37_79B9_7F4A_7C15 + cpu.number)
        self._leases: list[Lease | None] = [None] * count
        self._lock = make_lock(Order.CPUS)
        self._changed: Condition | None = None  # where somebody waits, or did
        self._waiting: list[int] = []  # threads
        self.closed = False
        at_fork(self)

    def __len__(self) -> int:
        return len(self._all)

    def _taken(self) -> list[Lease]:
        return [lease for lease in self._leases if lease is not None and lease.token.locked()]

    @property
    def idle(self) -> bool:
        """Whether no run has a CPU now."""
        return not self._taken()

    def state_of(self, frame: int) -> int:
        """The state of the CPU whose block an address lies in."""
        number = (frame - self.first_block) >> layout.CPU_SHIFT
        return self.first_state + number * layout.CPU_STATE_SIZE

    def of_frame(self, frame: int) -> Cpu:
        """The CPU whose block an address lies in."""
        return self._all[(frame - self.first_block) >> layout.CPU_SHIFT]

    def lease(self) -> Lease:
        """A claim on a CPU for a run of this thread; see there."""
        return Lease(self)

    def give(self, lease: Lease) -> Cpu:
        """See `Lease.take`."""
        with self._lock:
            while True:
                if self.closed:
                    self.check_open()
                for number, held in enumerate(self._leases):
                    if held is None or not held.token.locked():
                        self._leases[number] = lease
                        return self._all[number]
                self._wait(lease)

    def _wait(self, lease: Lease) -> None:
        """Wait until a CPU may be free."""
        self._waiting.append(lease.thread)
        try:
            if all(held.thread in self._waiting for held in self._taken()):
                many = f"all {len(self)} CPUs have" if len(self) > 1 else "the only CPU has"
                hint = f"{many} a run that waits for this one: more are possible with Vm(cpus=)"
                what = "run a program from a run's helper"
                if any(held.suspended for held in self._taken()):
                    what, hint = "run a program", f"{hint}; a debugger's session has one"
                raise KernelError(errno.EBUSY, what, hint=hint)
            self._wait_for_change()
        finally:
            self._waiting.remove(lease.thread)

    def _wait_for_change(self) -> None:
        """Wait until `freed` or `close` tells of something. Under the lock."""
        if self._changed is None:
            from threading import Condition  # dear, and few wait

            self._changed = Condition(self._lock)
        self._changed.wait(_AGAIN)

    def freed(self) -> None:
        """Tell those who wait that a CPU was given back."""
        if self._waiting or self.closed:
            with self._lock:
                if self._changed is not None:
                    self._changed.notify_all()

    def before_fork(self) -> None:
        """Runs of other threads go on."""

    def after_fork(self, child: bool) -> None:
        """There are no other threads in a child: their CPUs are free."""
        if child:
            here = get_ident()
            for number, lease in enumerate(self._leases):
                if lease is not None and lease.thread != here:
                    self._leases[number] = None
            self._waiting = [thread for thread in self._waiting if thread == here]

    def check_open(self) -> None:
        """Raise ClosedError once the vm is closed, or is being closed."""
        if self.closed:
            raise ClosedError("the vm is closed")

    @contextmanager
    def paused(self) -> Iterator[bool]:
        """Nobody is given a CPU meanwhile; whether nobody has one."""
        with self._lock:
            yield self.idle

    def close(self) -> None:
        """Give no CPU any more, stop the runs that have one and wait for their end. Raises
        KernelError (EBUSY) in a run's own callback, which would wait for itself."""
        with self._lock:
            here = get_ident()
            if any(each.thread == here and not each.suspended for each in self._taken()):
                raise KernelError(errno.EBUSY, "close a vm from a run of its programs")
            self.closed = True
            if self._changed is not None:
                self._changed.notify_all()
            while taken := self._taken():
                for cpu in self._all:
                    self._memory.store32(cpu.state + layout.STATE_STOP, 1)
                for lease in taken:
                    if lease.running is not None:
                        lease.running.stop()
                self._wait_for_change()
