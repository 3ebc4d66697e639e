"""Functions written once and run two ways: as Python, and compiled into programs' code.

Map operations and the frequent helpers must cost nothing like a Python call when compiled
code uses them, must work where no compiler is installed, and must be the same both times.
So they are written in a small part of Python over the vm's memory, marked `@native`:

- every value is an unsigned 64-bit integer; what may overflow is masked with `& M64` (or
  `& M32`) by hand, for Python's integers do not wrap;
- parameters, local variables, `if`, `while`, `break`, `continue`, `return`, conditional
  expressions, comparisons, `and`/`or`/`not` in conditions, `+ - * // % & | ^ << >> ~`;
- constants of the module, other native functions, and the intrinsics below.

`osmia.vm.native_python` runs them over a `Memory`. `osmia.vm.jit.native_code` compiles them:
there a parameter that is known to be one map's header makes the header's fields constants.
"""

from __future__ import annotations

import types
from collections.abc import Callable

from osmia.vm import layout
from osmia.vm.errors import Interrupt

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import TypeVar

    _Function = TypeVar("_Function", bound=Callable[..., int])

M32 = 0xFFFF_FFFF
M64 = 0xFFFF_FFFF_FFFF_FFFF


NATIVE: dict[str, types.FunctionType] = {}
"""Every native function by name: names are global, as the compiled symbols are."""


def native(function: _Function) -> _Function:
    """Register a function of the subset described above."""
    assert isinstance(function, types.FunctionType)
    if function.__name__ in NATIVE or function.__name__ in INTRINSICS:
        raise ValueError(f"two native functions are named {function.__name__!r}")
    NATIVE[function.__name__] = function
    return function


# The intrinsics. Those below only give the names a type: `osmia.vm.native_python` implements
# them for Python, `osmia.vm.jit.intrinsics` for compiled code.


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


INTRINSICS = frozenset(
    name for name, value in list(globals().items()) if isinstance(value, types.FunctionType)
) - {"native"}
"""Their names."""


@native
def interrupt(frame: int, why: int, detail: int) -> int:
    """End the run: it has no budget any more, so that no loop of compiled code goes on. The
    interpreter looks after each call. Gives 0."""
    state = cpu_state(frame)
    store64(state + layout.STATE_BUDGET, 0)
    store64(state + layout.STATE_DETAIL, detail)
    store64(state + layout.STATE_INTERRUPT, why)
    return 0


TURNS = 63
"""As many runs, plus 1, are made before the clock is looked at."""


@native
def late(done: int, deadline: int) -> int:
    """Whether those who run a program many times shall give Python a turn after `done` runs."""
    if done & TURNS != 0:
        return 0
    return 1 if clock(1) >= deadline else 0


@native
def refill(frame: int, left: int, times: int) -> int:
    """What a run may go on with whose instructions are used up, `left` (negative) over: the
    next slice of its budget, or minus the `Interrupt` that ends it. Between slices Python may
    look after signals."""
    state = cpu_state(frame)
    if load64(state + layout.STATE_INTERRUPT) == 0 and load64(state + layout.STATE_POLLS):
        store64(state + layout.STATE_CALL, 0)
        call_program(load64(state + layout.STATE_DOOR), frame, 0)
    why = load64(state + layout.STATE_INTERRUPT)
    if why == 0 and load32(state + layout.STATE_STOP):
        why = Interrupt.CLOSED
    while why == 0 and left >> 63:
        rest = load64(state + layout.STATE_REST)
        size = load64(state + layout.STATE_SLICE)
        size = rest if rest < size else size
        store64(state + layout.STATE_REST, rest - size)
        left = (left + size) & M64
        if size == 0:
            why = Interrupt.BUDGET
    return left if why == 0 else (M64 + 1 - why) & M64


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
