"""Stubs: jumps in compiled code that are repointed while other threads run them.

Callers call or jump to a stub directly. There is one for each slot of a prog array that a
module tail-calls with a known map and key, and for each dispatcher that it calls.

A stub lies in the code of the module that uses it; `osmia.vm.jit.stub_code` has its instructions,
for x86-64 and arm64. Repointing stores the word with the target's address, then the first 8 bytes,
each with one aligned store: whoever runs the stub meanwhile goes to the old target or to the new
one. Both targets are code that stays: see `osmia.vm.jit.machine`.

On other machines callers load the target and call it.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from functools import cache

from osmia.locks import make_lock
from osmia.vm.jit.emitter import PARAMETERS
from osmia.vm.jit.identity import machine
from osmia.vm.jit.mapping import mprotect, protect
from osmia.vm.jit.stub_code import FLUSH, MACHINES, SIZE, WORD, StubCode

_lock = make_lock()  # pages are writable while stubs in them change, and only then
_writable: list[tuple[int, int]] = []
DISPATCHER = 0

Place = tuple[int, int]
"""What a stub is for: (a map's header, a key), or (DISPATCHER, a handle): no map is at 0."""
_PROTECTION = 1 | 2 | 4, 1 | 4  # read, write, execute; read, execute


def supported() -> bool:
    """Whether this machine has stubs; elsewhere all tail calls load their target."""
    return machine() in MACHINES and mprotect() is not None


def machine_code() -> StubCode:
    """What this machine's stubs are made of."""
    return MACHINES[machine()]


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
    lines = (".text", ".p2align 3", f".globl {symbol}", f"{symbol}:", *machine_code().assembly)
    assembly = "".join(f'module asm "{line}"\n' for line in lines)
    return f"{assembly}declare i64 @{symbol}({PARAMETERS})\n"


def point(stub: int, target: int) -> None:
    """Make the stub at a machine address jump to another; raises OSError where the system
    does not let code be changed."""
    page = mmap.PAGESIZE
    start = stub // page * page
    size = -(-(stub + SIZE) // page) * page - start
    writable, executable = _PROTECTION
    code = machine_code()
    flush = _flush() if code.flushes else None
    with _lock:
        nested = bool(_writable)  # a signal came into another change, which closes all pages
        _writable.append((start, size))
        try:
            protect(start, size, writable)
            ctypes.c_uint64.from_address(stub + WORD).value = target
            ctypes.c_uint64.from_address(stub).value = code.jump(stub, target)
            if flush is not None:
                flush(stub)
        finally:
            while _writable and not nested:
                protect(*_writable.pop(), executable)


@cache
def _flush() -> Callable[[int], None]:
    """What makes a changed stub known to the CPUs' instruction caches."""
    from osmia.vm.jit import compiler

    text = (
        "define void @flush(i64 %place) {\n"
        f'  call void asm sideeffect "{FLUSH}", "r,~{{memory}}"(i64 %place)\n'
        "  ret void\n}\n"
    )
    loaded = compiler.LoadedCode(compiler.compile_fresh(compiler.host(), text, 1))
    function = ctypes.CFUNCTYPE(None, ctypes.c_uint64)(loaded.address("flush"))

    def flush(place: int, keep: compiler.LoadedCode = loaded) -> None:
        function(place)

    return flush
