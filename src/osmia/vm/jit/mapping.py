"""An image of machine code in this process: mapped, completed, and only then executable.

No page is ever writable and executable here: what is mapped is written first, then code becomes
executable and the rest read-only. (`osmia.vm.jit.stubs` opens a page of code to change a jump.)
On arm64, that is when Linux makes the caches of instructions agree with what was written.
"""

from __future__ import annotations

import ctypes
import mmap
from functools import cache

from osmia.vm.jit.image import Image

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

_READ, _EXECUTE = 1, 4


class MappedCode:
    """An image in memory; it stays as long as this object. OSError where the system does not let
    code be mapped, or lacks a function that it calls."""

    def __init__(self, image: Image) -> None:
        self._symbols = image.symbols
        self._map = mmap.mmap(-1, len(image.content), **_private())
        self._map[:] = image.content
        anchor = ctypes.c_char.from_buffer(self._map)
        self.base = ctypes.addressof(anchor)
        del anchor
        for at, name in image.words:
            self._map[at : at + 8] = _system_function(name).to_bytes(8, "little")
        for at in image.places:
            offset = int.from_bytes(self._map[at : at + 8], "little")
            self._map[at : at + 8] = (self.base + offset).to_bytes(8, "little")
        protect(self.base, image.executable, _READ | _EXECUTE)
        if len(image.content) > image.executable:
            rest = len(image.content) - image.executable
            protect(self.base + image.executable, rest, _READ)

    def address(self, symbol: str) -> int:
        """The machine address of a function."""
        return self.base + self._symbols[symbol]


def _private() -> dict[str, int]:
    return {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}


@cache
def _system() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@cache
def _system_function(name: str) -> int:
    """The address of a function of the system's C library."""
    try:
        return ctypes.cast(getattr(_system(), name), ctypes.c_void_p).value or 0
    except AttributeError as error:
        raise OSError(f"the system has no function {name}") from error


@cache
def mprotect() -> Any:
    """The system's function; None where there is none."""
    try:
        function = _system().mprotect
    except (OSError, AttributeError, TypeError):
        return None
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return function


def protect(start: int, size: int, protection: int) -> None:
    """Say how memory may be used; OSError where the system does not allow it."""
    change = mprotect()
    if change is None or change(start, size, protection):
        number = ctypes.get_errno()
        raise OSError(number, "cannot change the protection of compiled code")
