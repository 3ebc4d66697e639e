"""Which clsact qdiscs `add_filter` made, so that `remove_filter` takes those with it, and no other.

A qdisc says nothing of its maker. So there is a file for each in DIRECTORY, by the network
namespace's cookie (since 5.14; no other namespace has it until the next boot, unlike an inode's
number) and the interface's index. Without it, as in a process that may not write there, a qdisc is
taken for somebody else's and stays.

One lock holds for all: between looking whether a qdisc is empty and removing it no other osmia adds
a filter. The kernel has no such lock for others: what tc adds in that moment, some microseconds,
goes with the qdisc.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from osmia.paths import text_of

DIRECTORY = "/run/osmia/clsact"

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
# include/uapi/asm-generic/socket.h
_SO_NETNS_COOKIE, _COOKIE_BYTES = 71, 8


class Mark:
    """Whether an interface's qdisc was made here; `path` "": nobody can tell."""

    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def is_set(self) -> bool:
        """Whether it was, since the machine started."""
        try:
            return bool(self._path) and text_of(self._path) == text_of(_BOOT_ID)
        except OSError:
            return False

    def set(self) -> None:
        """Say that it was."""
        if self._path:
            with suppress(OSError), open(self._path, "w", encoding="ascii") as file:  # noqa: PTH123
                file.write(text_of(_BOOT_ID))

    def remove(self) -> None:
        """Say that it was not, or is gone."""
        with suppress(OSError):
            os.unlink(self._path)  # noqa: PTH108


@contextmanager
def mark_of(index: int) -> Iterator[Mark]:
    """The mark of an interface of this thread's network; nobody else changes one meanwhile."""
    try:
        os.makedirs(DIRECTORY, mode=0o700, exist_ok=True)  # noqa: PTH103
        lock = os.open(f"{DIRECTORY}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        cookie = _cookie()
    except OSError:
        yield Mark("")
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Mark(f"{DIRECTORY}/{cookie:x}-{index}")
    finally:
        os.close(lock)


def _cookie() -> int:
    with socket.socket(socket.AF_UNIX) as any_socket:
        told = any_socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, _COOKIE_BYTES)
    return int.from_bytes(told, "little")
