"""Native functions (see `osmia.vm.native`) run as Python, or compiled once they are."""

from __future__ import annotations

import types
from collections.abc import Callable

from osmia.locks import Order, at_fork, held_here, make_lock
from osmia.vm.memory import Memory
from osmia.vm.native import INTRINSICS, NATIVE
from osmia.vm.undo import UndoLog

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any


class Intrinsics:
    """The intrinsics as Python, over one memory."""

    def __init__(self, memory: Memory, map_table: int, cpu_state: Callable[[int], int]) -> None:
        self._memory = memory
        self.load8, self.load16 = memory.load8, memory.load16
        self.load32, self.load64 = memory.load32, memory.load64
        self.acquire32, self.acquire64 = memory.load32, memory.load64
        self.undo = UndoLog(memory)
        self.cpu_state = cpu_state
        self._map_table = map_table

    def store8(self, address: int, value: int) -> None:
        """See the function of this name."""
        self.undo.before(address, 1)
        self._memory.store8(address, value)

    def store16(self, address: int, value: int) -> None:
        """See the function of this name."""
        self.undo.before(address, 2)
        self._memory.store16(address, value)

    def store32(self, address: int, value: int) -> None:
        """See the function of this name."""
        self.undo.before(address, 4)
        self._memory.store32(address, value)

    def store64(self, address: int, value: int) -> None:
        """See the function of this name."""
        self.undo.before(address, 8)
        self._memory.store64(address, value)

    release32, release64 = store32, store64

    def zero(self, address: int, size: int) -> None:
        """See the function of this name."""
        self.undo.before(address, size)
        self._memory.zero(address, size)

    def swap32(self, address: int, expected: int, value: int) -> int:
        """See the function of this name; atomic because natives run under one lock."""
        found = self._memory.load32(address)
        if found == expected:
            self.store32(address, value)
        return found

    def swap64(self, address: int, expected: int, value: int) -> int:
        """See the function of this name."""
        found = self._memory.load64(address)
        if found == expected:
            self.store64(address, value)
        return found

    def field32(self, header: int, offset: int) -> int:
        """See the function of this name."""
        return self._memory.load32(header + offset)

    def field64(self, header: int, offset: int) -> int:
        """See the function of this name."""
        return self._memory.load64(header + offset)

    def copy(self, target: int, source: int, size: int) -> None:
        """See the function of this name."""
        self.undo.before(target, size)
        self._memory.write(target, self._memory.read(source, size))

    move = copy

    def region_size(self) -> int:
        """See the function of this name."""
        return self._memory.size

    def map_table(self) -> int:
        """See the function of this name."""
        return self._map_table

    def clock(self, which: int) -> int:
        """See the function of this name."""
        import time

        return time.clock_gettime_ns(which)

    def replaces_program(self) -> int:
        """Compiled code only."""
        raise NotImplementedError

    def call_program(self, entry: int, frame: int, context: int) -> int:
        """Compiled code only."""
        raise NotImplementedError

    def call_raw(self, entry: int, frame: int, data: int, size: int) -> int:
        """Compiled code only."""
        raise NotImplementedError

    def call_function(self, frame: int, handle: int, a: int, b: int, c: int, d: int) -> int:
        """Interpreted programs get theirs from the interpreter, see `Natives.callbacks`."""
        raise NotImplementedError


class Natives:
    """The native functions bound to one memory, callable by name from Python.

    `call` is the one door: it runs the Python form under a lock, or the compiled form once
    `use_compiled` gave one (compiled code runs on other threads without Python's lock, so
    from then on everybody must use the same atomics). What has no compiled form stays Python,
    whose lock does not keep compiled code out.
    """

    def __init__(self, memory: Memory, map_table: int, cpu_state: Callable[[int], int]) -> None:
        self._intrinsics = Intrinsics(memory, map_table, cpu_state)
        self._lock = make_lock(Order.NATIVES)
        at_fork(self)
        self._python: dict[str, Callable[..., int]] = {}
        self._compiled: dict[str, Callable[..., int]] = {}
        self._lookup: Callable[[str], Callable[..., int] | None] | None = None

    def before_fork(self) -> None:
        """The lock is taken."""

    def after_fork(self, child: bool) -> None:
        """What another thread did not finish in time is taken back in a child."""
        if child and not held_here(self._lock):
            self._intrinsics.undo.take_back()

    def use_compiled(self, lookup: Callable[[str], Callable[..., int] | None]) -> None:
        """From now on, call what `lookup` gives for a name; where it gives None, Python."""
        with self._lock:
            self._lookup = lookup

    def call(self, name: str, *arguments: int) -> int:
        """Call a native function; arguments and result are unsigned 64-bit integers."""
        compiled = self._compiled.get(name)
        if compiled is not None:
            return compiled(*arguments)
        with self._lock:
            if self._lookup is not None:
                compiled = self._lookup(name)
                if compiled is not None:
                    self._compiled[name] = compiled
                    return compiled(*arguments)
            undo = self._intrinsics.undo
            nested = undo.pending
            try:
                return self.python(name)(*arguments)
            except BaseException:
                if not nested:
                    undo.take_back()
                raise

    def python(self, name: str) -> Callable[..., int]:
        """The Python form of a native function over this memory."""
        if name not in self._python:
            self._bind_all()
        return self._python[name]

    def _bind_all(self) -> None:
        """Rebind every function to globals in which intrinsics and natives are this memory's."""
        intrinsics: dict[str, Any] = {name: getattr(self._intrinsics, name) for name in INTRINSICS}
        spaces: dict[str, dict[str, Any]] = {}
        for name, function in NATIVE.items():
            space = spaces.setdefault(function.__module__, dict(function.__globals__) | intrinsics)
            self._python[name] = types.FunctionType(function.__code__, space, name)
        undo = self._intrinsics.undo
        self._python |= {"lock": undo.lock, "unlock": undo.unlock}
        for space in spaces.values():
            space.update(self._python)
