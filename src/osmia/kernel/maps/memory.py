"""Maps as memory of this process: arrays made with BPF_F_MMAPABLE, and arenas."""

from __future__ import annotations

import ctypes
import mmap
import weakref
from ctypes import c_char, c_int, c_long, c_size_t, c_void_p

from osmia.errors import BpfPermissionError, KernelError

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = c_void_p
_libc.mmap.argtypes = (c_void_p, c_size_t, c_int, c_int, c_int, c_long)
_libc.munmap.restype = c_int
_libc.munmap.argtypes = (c_void_p, c_size_t)
_FAILED = c_void_p(-1).value


def map_memory(fd: int, size: int, *, writable: bool, address: int = 0, what: str) -> memoryview:
    """The first `size` bytes of a map, shared with its programs; whole pages are mapped.

    The memory stays mapped as long as the view, or one made from it, is alive, the map
    itself as long as the memory: nobody can be left with a view of nothing. (The mmap
    module does not serve here: it holds a second descriptor, and takes no address.)
    """
    pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    start = _libc.mmap(address or None, pages, protection, mmap.MAP_SHARED, fd, 0)
    if start == _FAILED:
        error = ctypes.get_errno()
        kind = BpfPermissionError if error in (1, 13) else KernelError
        raise kind(error, f"map {what} into memory")
    owner = (c_char * pages).from_address(start)
    unmapping = weakref.finalize(owner, _libc.munmap, start, pages)
    unmapping.atexit = False  # the process's end does it, when no view is left
    view = memoryview(owner).cast("B")[:size]
    return view if writable else view.toreadonly()
