"""The door from compiled code to Python, one for each CPU: helpers, and a look after signals.

Compiled code is called through ctypes and calls back through it, both without Python's lock in
between. A signal that arrived meanwhile is handled where Python code begins, that is before the
first line of a function called back: its exception would be ctypes', who prints it and goes on.
A generator goes on inside its `try`, so what a signal's handler raises is caught like anything
else that ends a run. So the door is the `send` of a generator.
"""

from __future__ import annotations

import ctypes
import struct
import threading
import time
from _thread import get_ident
from collections.abc import Callable, Generator
from time import perf_counter_ns
from types import GeneratorType

from osmia.isa.instruction import Instruction
from osmia.vm import layout
from osmia.vm.errors import Interrupt
from osmia.vm.helpers import Invocation

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from osmia.vm.cpu import Cpu
    from osmia.vm.engine import Vm

_DOOR = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)
_CALL = struct.Struct("<7Q")
_ENTRY = struct.Struct("<6Q")
_POLLING = struct.Struct("<QQ")
_M64 = 0xFFFF_FFFF_FFFF_FFFF

PROGRAM_SHIFT = 40
"""Where in a helper's number the caller is, of helpers that want to know: its program's number."""
SLICE = 1 << 20
"""Instructions of a run before anybody first asks whether it shall go on: some 1 ms, and not
more than 50 ms if each is a helper."""
WHOLE = (1 << 63) - 1
SMALLEST, LARGEST = SLICE >> 6, SLICE << 6
PERIOD = 10_000_000
"""How often signals are looked after, in ns."""
QUIET_PERIOD = 4 * PERIOD
"""How often Python gets a turn in a thread that gets no signals."""


class Door:
    """One CPU's door. `failure` is the exception that ended its last run."""

    def __init__(self, vm: Vm, cpu: Cpu) -> None:
        self.vm = vm
        self.cpu = cpu
        self._memory = vm.memory
        self.failure: BaseException | None = None
        #: What a run begins with; all of its budget where nobody asks in between.
        self.first = SLICE if vm.interruptible else WHOLE
        self._slice, self._asked = self.first, 0
        self._written: tuple[int, bool] | None = None  # what the state has of how to go on
        self.thread = 0
        """That of the last run."""
        self._here = False  # whether signals are handled in that
        self._entered: tuple[tuple[int, ...], int] | None = None  # what is at the entry
        self._entry = cpu.state + layout.STATE_ENTRY
        self._entry_address = vm.memory.base + self._entry
        self._answers: GeneratorType[int, int, None] = self._answer()  # type: ignore[assignment]
        next(self._answers)
        self._function: Any = _DOOR(self._answers.send)
        address = ctypes.cast(self._function, ctypes.c_void_p).value or 0
        vm.memory.store64(cpu.state + layout.STATE_DOOR, address)

    def begin(self) -> bool:
        """A run begins on this CPU; whether signals are handled in its thread."""
        thread = get_ident()
        if thread != self.thread:
            self.thread, self._here = thread, thread == threading.main_thread().ident
        here = self._here
        if self._written != (self.first, here):
            self._slice = self.first
            polling = _POLLING.pack(self.first, here)
            self.vm.memory.write(self.cpu.state + layout.STATE_SLICE, polling)
            self._written = self.first, here
        if here:
            self._asked = perf_counter_ns()
        return here

    def enter(self, arguments: tuple[int, ...], budget: int) -> int:
        """A single run begins: the machine address of what its code begins with."""
        self.begin()
        if self._entered != (arguments, budget):
            first = min(budget, self.first)
            a, b = arguments if len(arguments) > 1 else (arguments[0], 0)
            place = (self._memory.base, self.cpu.stack_top, a, b, first, budget - first)
            self._memory.write(self._entry, _ENTRY.pack(*place))
            self._entered = arguments, budget
        return self._entry_address

    def forget_thread(self) -> None:
        """Another thread may be the main one now: this is a child made by fork."""
        self.thread = 0

    @property
    def busy(self) -> bool:
        """Whether a helper is being called."""
        return self._answers.gi_running

    def take_failure(self) -> BaseException | None:
        """The exception that ended the last run, once."""
        failure, self.failure = self.failure, None
        return failure

    def _answer(self) -> Generator[int, int, None]:
        result = 0
        while True:
            try:
                while True:
                    yield result
                    result = self._asked_for()
            except GeneratorExit:
                return
            except BaseException as error:
                self.failure = error
                self.vm.memory.store64(self.cpu.state + layout.STATE_BUDGET, 0)
                place = self.cpu.state + layout.STATE_INTERRUPT
                self.vm.memory.store64(place, Interrupt.CALLBACK)
                result = 0

    def _asked_for(self) -> int:
        """Call the helper that the CPU's state tells; or, for 0, see how long a slice took."""
        memory = self.vm.memory
        place = self.cpu.state + layout.STATE_CALL
        number, frame, *arguments = _CALL.unpack(memory.read(place, _CALL.size))
        if not number:
            now = perf_counter_ns()
            self._slice = paced(self._slice, now - self._asked)
            self._asked = now
            memory.store64(self.cpu.state + layout.STATE_SLICE, self._slice)
            self._written = None
            return 0
        kind = number >> 32 & 0xFF
        found = self.vm.resolve(Instruction(0x85, 0, kind, 0, number & 0xFFFF_FFFF))
        assert found.python is not None
        invocation = Invocation(self.vm, self.cpu, frame, caller=number >> PROGRAM_SHIFT)
        return int(found.python(invocation, *arguments[: len(found.arguments)])) & _M64


def paced(size: int, took: int) -> int:
    """The next slice, where one of `size` took so many ns."""
    return max(min(size * PERIOD // max(took, 1), 4 * size, LARGEST), SMALLEST)


Some = Callable[[int, int, int, int, int], int]


def run_many(door: Door, count: int, budget: int, some: Some) -> int:
    """Runs of a program, `count` of them: as many at a time as take a while, so that Python
    handles signals between them. Gives how many there were: fewer where one was interrupted.
    ClosedError when the vm is being closed.

    `some` is given how many were done, how many are to be done, the first slice of each one's
    budget and the rest of it, and when to come back before; it gives how many were done then,
    not counting one that was interrupted.
    """
    period = PERIOD if door.begin() else QUIET_PERIOD
    first, done = min(budget, door.first), 0
    while done < count:
        deadline = time.monotonic_ns() + period
        done += some(done, count - done, first, budget - first, deadline)
        if door.vm.memory.load64(door.cpu.state + layout.STATE_INTERRUPT):
            break
        door.vm.cpus.check_open()
    return done
