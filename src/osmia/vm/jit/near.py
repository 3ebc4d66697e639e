"""Address space for the sections of one object file: they must lie within 2 GiB of each other.

Machine code reaches its constants, jump tables and stubs by 32-bit distances, and LLVM's loader
maps each section by itself, wherever the system puts it: the code perhaps below a vm's
gigabytes and a small table above them. The loader then ends the whole process.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SLACK = 2 << 20  # bytes that other threads may map meanwhile
_MOST_PLUGS = 256
_PROT_NONE = 0
_FAILED = ctypes.c_void_p(-1).value


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """While this is entered, what is mapped comes to lie side by side, up to `size` bytes.

    Linux takes the highest gap that is large enough. So a gap for everything is found, and
    the smaller ones above it are filled for the time being. Other systems do as they like.
    """
    size = -(-(size + _SLACK) // mmap.PAGESIZE) * mmap.PAGESIZE
    plugs: list[tuple[int, int]] = []
    room = _map(size)
    try:
        if room:
            _fill_gaps_above(room, size, plugs)
            _unmap(room, size)
        yield
    finally:
        for at, piece in plugs:
            _unmap(at, piece)


def _fill_gaps_above(room: int, size: int, plugs: list[tuple[int, int]]) -> None:
    piece = size
    while piece >= mmap.PAGESIZE and len(plugs) < _MOST_PLUGS:
        at = _map(piece)
        if at > room:
            plugs.append((at, piece))
            continue
        if at:
            _unmap(at, piece)
        piece = piece // 2 // mmap.PAGESIZE * mmap.PAGESIZE


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None)
    number, address, length = ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t
    libc.mmap.restype = address
    libc.mmap.argtypes = (address, length, number, number, number, ctypes.c_long)
    libc.munmap.argtypes = (address, length)
    return libc


def _map(size: int) -> int:
    """Address space that nothing can be kept in; 0 when there is none."""
    if sys.platform != "linux":
        return 0
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    address: int = _libc().mmap(None, size, _PROT_NONE, flags, -1, 0)
    return 0 if address == _FAILED else address


def _unmap(address: int, size: int) -> None:
    _libc().munmap(address, size)
