"""Files of processes that nobody trusts: opened in their own root, only where they are files.

A process chooses what its paths lead to, and may change it at any time: to a pipe that an open
hangs on, a device that does something when it is opened, a link out of its container.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from functools import cache

#: openat2(2), since 5.6; the number is the same on all machines that osmia knows.
_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS, _RESOLVE_IN_ROOT = 0x02, 0x10
#: struct open_how: flags, mode, resolve.
_OPEN_HOW = struct.Struct("=QQQ")


def open_regular(path: str, root: str = "/") -> int | None:
    """A descriptor to read a regular file, its path and links in it seen from `root`, a
    directory; None when there is none or it may not be read. The caller closes it."""
    place = _place(path, root)
    if place is None:
        return None
    try:
        return reopen_regular(place)
    finally:
        os.close(place)


def reopen_regular(place: int | str) -> int | None:
    """The same for an O_PATH descriptor, or a link of /proc that leads straight to a file."""
    name = f"/proc/self/fd/{place}" if isinstance(place, int) else place
    try:
        if not stat.S_ISREG(os.stat(name).st_mode):  # noqa: PTH116 - a path costs more
            return None
        # What a link of /proc leads to does not change: it is the file that was looked at.
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None


def read_all(fd: int, limit: int) -> bytes | None:
    """The whole file; None for one of more than `limit` bytes."""
    size = os.fstat(fd).st_size
    if size > limit:
        return None
    parts = []
    place = 0
    while place < size and (part := os.pread(fd, min(size - place, 1 << 26), place)):
        parts.append(part)
        place += len(part)
    return b"".join(parts)


def _place(path: str, root: str) -> int | None:
    """An O_PATH descriptor of what a path means from a root."""
    if "\0" in path:
        return None
    try:
        directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _open_in_root(directory, path)
    finally:
        os.close(directory)


def _open_in_root(directory: int, path: str) -> int | None:
    how = _OPEN_HOW.pack(os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_NO_MAGICLINKS | _RESOLVE_IN_ROOT)
    result: int = _syscall()(_OPENAT2, directory, os.fsencode(path), how, len(how))
    return result if result >= 0 else None


@cache
def _syscall() -> ctypes._NamedFuncPointer:
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    number, text = ctypes.c_long, ctypes.c_char_p
    function.argtypes = (number, number, text, text, number)
    return function
