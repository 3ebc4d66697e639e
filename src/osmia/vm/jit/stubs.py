"""Stubs: jumps in compiled code that are repointed while other threads run them.

Callers call or jump to a stub directly. There is one for each slot of a prog array that a
module tail-calls with a known map and key, and for each dispatcher that it calls.

A stub is 24 bytes, 8-byte aligned, in the code of the module that uses it (x86-64):

     0  jmp rel32 and padding      to the target, or to 8 when that is too far away
     8  jmp [rip + 2]              through the word at 16
    16  the target's address

Repointing stores the word, then the first 8 bytes, each with one aligned store: whoever
runs the stub meanwhile goes to the old target or to the new one. Both targets are code that
stays: see `osmia.vm.jit.machine`.

Elsewhere callers load the target and call it. On arm64 a stub would be `b imm26` to targets
within 128 MiB, `ldr x16, 8; br x16` to others, repointed in the same way.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
from functools import cache
from typing import Any

from osmia.locks import make_lock
from osmia.vm.jit.emitter import PARAMETERS

_JUMP = 0xE9
_PADDING = b"\x0f\x1f\x00"
_NEAR = 1 << 31
_lock = make_lock()  # pages are writable while stubs in them change, and only then
_writable: list[tuple[int, int]] = []
DISPATCHER = 0

Place = tuple[int, int]
"""What a stub is for: (a map's header, a key), or (DISPATCHER, a handle): no map is at 0."""
_PROTECTION = 1 | 2 | 4, 1 | 4  # read, write, execute; read, execute


def supported() -> bool:
    """Whether this machine has stubs; elsewhere all tail calls load their target."""
    return platform.machine() in ("x86_64", "AMD64") and _mprotect() is not None


@cache
def _mprotect() -> Any:
    try:
        function = ctypes.CDLL(None, use_errno=True).mprotect
    except (OSError, AttributeError, TypeError):
        return None
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return function


class Stubs:
    """The stubs of one module: a symbol for each place."""

    def __init__(self) -> None:
        self.symbols: dict[Place, str] = {}

    def symbol(self, place: Place) -> str:
        """The symbol of a place's stub, which the module then has."""
        return self.symbols.setdefault(place, f"stub_{len(self.symbols)}")

    def text(self) -> str:
        """Their IR."""
        return "".join(_text(symbol) for symbol in self.symbols.values())


def _text(symbol: str) -> str:
    """The IR of a stub that traps until it is pointed somewhere."""
    lines = (
        ".text",
        ".p2align 3",
        f".globl {symbol}",
        f"{symbol}:",
        ".quad 0x0b0f0b0f0b0f0b0f",
        ".byte 0xff, 0x25, 2, 0, 0, 0, 0x66, 0x90",
        ".quad 0",
    )
    assembly = "".join(f'module asm "{line}"\n' for line in lines)
    return f"{assembly}declare i64 @{symbol}({PARAMETERS})\n"


def point(stub: int, target: int) -> None:
    """Make the stub at a machine address jump to another; raises OSError where the system
    does not let code be changed."""
    page = mmap.PAGESIZE
    start = stub // page * page
    size = -(-(stub + 24) // page) * page - start
    writable, executable = _PROTECTION
    distance = target - (stub + 5)
    if not -_NEAR <= distance < _NEAR:
        distance = 8 - 5
    jump = bytes([_JUMP]) + (distance & 0xFFFF_FFFF).to_bytes(4, "little") + _PADDING
    with _lock:
        nested = bool(_writable)  # a signal came into another change, which closes all pages
        _writable.append((start, size))
        try:
            _protect(start, size, writable)
            ctypes.c_uint64.from_address(stub + 16).value = target
            ctypes.c_uint64.from_address(stub).value = int.from_bytes(jump, "little")
        finally:
            while _writable and not nested:
                _protect(*_writable.pop(), executable)


def _protect(start: int, size: int, protection: int) -> None:
    if _mprotect()(start, size, protection):
        number = ctypes.get_errno()
        raise OSError(number, "cannot change the protection of compiled code")
