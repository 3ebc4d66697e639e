"""Functions written once and run two ways: as Python, and compiled into programs' code.

Map operations and the frequent helpers must cost nothing like a Python call when compiled
code uses them, must work where no compiler is installed, and must be the same both times.
So they are written in a small part of Python over the vm's memory, marked `@native`:

- every value is an unsigned 64-bit integer; what may overflow is masked with `& M64` (or
  `& M32`) by hand, for Python's integers do not wrap;
- parameters, local variables, `if`, `while`, `break`, `continue`, `return`, conditional
  expressions, comparisons, `and`/`or`/`not` in conditions, `+ - * // % & | ^ << >> ~`;
- constants of the module, other native functions, and the intrinsics below.

`Natives` runs them over a `Memory`. `osmia.vm.jit.native_code` compiles them: there a
parameter that is known to be one map's header makes the header's fields constants.
"""

from __future__ import annotations

import threading
import types
from collections.abc import Callable
from typing import Any, TypeVar

from osmia.vm import layout
from osmia.vm.errors import Interrupt
from osmia.vm.memory import Memory

M32 = 0xFFFF_FFFF
M64 = 0xFFFF_FFFF_FFFF_FFFF

_Function = TypeVar("_Function", bound=Callable[..., int])

NATIVE: dict[str, types.FunctionType] = {}
"""Every native function by name: names are global, as the compiled symbols are."""


def native(function: _Function) -> _Function:
    """Register a function of the subset described above."""
    assert isinstance(function, types.FunctionType)
    if function.__name__ in NATIVE or function.__name__ in INTRINSICS:
        raise ValueError(f"two native functions are named {function.__name__!r}")
    NATIVE[function.__name__] = function
    return function


# The intrinsics. Those below only give the names a type: `Intrinsics` implements them for
# Python, `osmia.vm.jit.intrinsics` for compiled code.


def load8(address: int) -> int:
    """The byte at an address, without checks: of the region, or of control memory."""
    raise NotImplementedError


def load16(address: int) -> int:
    """The u16 at an address, of any alignment."""
    raise NotImplementedError


def load32(address: int) -> int:
    """The u32 at an address, of any alignment."""
    raise NotImplementedError


def load64(address: int) -> int:
    """The u64 at an address, of any alignment."""
    raise NotImplementedError


def store8(address: int, value: int) -> None:
    """Store a value's low byte."""
    raise NotImplementedError


def store16(address: int, value: int) -> None:
    """Store a value's low 16 bits."""
    raise NotImplementedError


def store32(address: int, value: int) -> None:
    """Store a value's low 32 bits."""
    raise NotImplementedError


def store64(address: int, value: int) -> None:
    """Store a 64-bit value."""
    raise NotImplementedError


def acquire32(address: int) -> int:
    """The aligned u32 at an address, with acquire order."""
    raise NotImplementedError


def release32(address: int, value: int) -> None:
    """Store an aligned u32 with release order."""
    raise NotImplementedError


def acquire64(address: int) -> int:
    """The aligned u64 at an address, with acquire order."""
    raise NotImplementedError


def release64(address: int, value: int) -> None:
    """Store an aligned u64 with release order."""
    raise NotImplementedError


def swap32(address: int, expected: int, value: int) -> int:
    """Compare and exchange of an aligned u32: the value that was there."""
    raise NotImplementedError


def swap64(address: int, expected: int, value: int) -> int:
    """Compare and exchange of an aligned u64: the value that was there."""
    raise NotImplementedError


def field32(header: int, offset: int) -> int:
    """A u32 that never changes of a map's header."""
    raise NotImplementedError


def field64(header: int, offset: int) -> int:
    """A u64 that never changes of a map's header."""
    raise NotImplementedError


def copy(target: int, source: int, size: int) -> None:
    """Copy bytes between places that do not overlap."""
    raise NotImplementedError


def move(target: int, source: int, size: int) -> None:
    """Copy bytes between places that may overlap."""
    raise NotImplementedError


def zero(address: int, size: int) -> None:
    """Set bytes to 0."""
    raise NotImplementedError


def region_size() -> int:
    """The region's size in bytes."""
    raise NotImplementedError


def map_table() -> int:
    """The address of the table of maps: a u64 each, the header's address or 0."""
    raise NotImplementedError


def cpu_state(frame: int) -> int:
    """The address of the state of the CPU that a frame belongs to."""
    raise NotImplementedError


def clock(which: int) -> int:
    """A clock of the system in ns: 1 is CLOCK_MONOTONIC, 7 is CLOCK_BOOTTIME, 0 real time."""
    raise NotImplementedError


def replaces_program() -> int:
    """Whether a tail call replaces the whole program: 1 or 0."""
    raise NotImplementedError


def call_program(entry: int, frame: int, context: int) -> int:
    """Run a compiled program at its entry (a machine address), or the program of a dispatcher
    whose handle is known when this is compiled."""
    raise NotImplementedError


def call_raw(entry: int, frame: int, data: int, size: int) -> int:
    """The same for a raw program."""
    raise NotImplementedError


def call_function(frame: int, handle: int, a: int, b: int, c: int, d: int) -> int:
    """Call a subprogram of the running program by its handle, in the next frame."""
    raise NotImplementedError


class Intrinsics:
    """The intrinsics as Python, over one memory."""

    def __init__(self, memory: Memory, map_table: int, cpu_state: Callable[[int], int]) -> None:
        self._memory = memory
        self.load8, self.load16 = memory.load8, memory.load16
        self.load32, self.load64 = memory.load32, memory.load64
        self.store8, self.store16 = memory.store8, memory.store16
        self.store32, self.store64 = memory.store32, memory.store64
        self.acquire32, self.release32 = memory.load32, memory.store32
        self.acquire64, self.release64 = memory.load64, memory.store64
        self.zero = memory.zero
        self.cpu_state = cpu_state
        self._map_table = map_table

    def swap32(self, address: int, expected: int, value: int) -> int:
        """See the function of this name; atomic because natives run under one lock."""
        found = self._memory.load32(address)
        if found == expected:
            self._memory.store32(address, value)
        return found

    def swap64(self, address: int, expected: int, value: int) -> int:
        """See the function of this name."""
        found = self._memory.load64(address)
        if found == expected:
            self._memory.store64(address, value)
        return found

    def field32(self, header: int, offset: int) -> int:
        """See the function of this name."""
        return self._memory.load32(header + offset)

    def field64(self, header: int, offset: int) -> int:
        """See the function of this name."""
        return self._memory.load64(header + offset)

    def copy(self, target: int, source: int, size: int) -> None:
        """See the function of this name."""
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


INTRINSICS = frozenset(name for name in vars(Intrinsics) if not name.startswith("_")) | {
    *(f"load{bits}" for bits in (8, 16, 32, 64)),
    *(f"store{bits}" for bits in (8, 16, 32, 64)),
    *(f"{order}{bits}" for order in ("acquire", "release") for bits in (32, 64)),
    "zero",
    "cpu_state",
}
"""Their names."""


class Natives:
    """The native functions bound to one memory, callable by name from Python.

    `call` is the one door: it runs the Python form under a lock, or the compiled form once
    `use_compiled` gave one (compiled code runs on other threads without Python's lock, so
    from then on everybody must use the same atomics). What has no compiled form stays Python,
    whose lock does not keep compiled code out.
    """

    def __init__(self, memory: Memory, map_table: int, cpu_state: Callable[[int], int]) -> None:
        self._intrinsics = Intrinsics(memory, map_table, cpu_state)
        self._lock = threading.RLock()
        self._python: dict[str, Callable[..., int]] = {}
        self._compiled: dict[str, Callable[..., int]] = {}
        self._lookup: Callable[[str], Callable[..., int] | None] | None = None

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
            return self.python(name)(*arguments)

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
        for space in spaces.values():
            space.update(self._python)


@native
def interrupt(frame: int, why: int, detail: int) -> int:
    """End the run: it has no budget any more, so that no loop of compiled code goes on. The
    interpreter looks after each call. Gives 0."""
    state = cpu_state(frame)
    store64(state + layout.STATE_BUDGET, 0)
    store64(state + layout.STATE_DETAIL, detail)
    store64(state + layout.STATE_INTERRUPT, why)
    return 0


@native
def interrupted(frame: int) -> int:
    """What the run was interrupted for: 0 while it goes on."""
    return load64(cpu_state(frame) + layout.STATE_INTERRUPT)


@native
def may_enter(frame: int) -> int:
    """Whether a function that has this frame may enter another one by handle, a program or a
    callback: 1 while the stack has room for the frames that can follow until the next such
    call, those of all tail calls that are left included."""
    left = layout.TAIL_CALL_LIMIT - load32(cpu_state(frame) + layout.STATE_TAIL_CALLS)
    needed = layout.FRAME_STRIDE + layout.CHAIN_ROOM + left * layout.TAIL_CALL_ROOM
    return 1 if frame & (layout.CPU_BLOCK - 1) >= needed else 0


@native
def reachable(frame: int, address: int, size: int) -> int:
    """An address that a program gave for `size` bytes, masked; 0 after an interrupt if the
    bytes do not lie in the region."""
    masked = address & (region_size() - 1)
    if size > region_size() or masked + size > region_size():
        return interrupt(frame, Interrupt.ACCESS, address)
    return masked


@native
def lock(address: int) -> int:
    """Take a spin lock of control memory."""
    while swap32(address, 0, 1) != 0:
        while acquire32(address) != 0:
            pass
    return 0


@native
def unlock(address: int) -> int:
    """Release a spin lock."""
    release32(address, 0)
    return 0


@native
def exchange32(address: int, expected: int, value: int) -> int:
    """Compare and exchange of a u32, for the interpreter's atomics."""
    return swap32(address, expected, value)


@native
def exchange64(address: int, expected: int, value: int) -> int:
    """Compare and exchange of a u64, for the interpreter's atomics."""
    return swap64(address, expected, value)
