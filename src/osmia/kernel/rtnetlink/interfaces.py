"""Network interfaces by name or index."""

from __future__ import annotations

import errno

from osmia.errors import KernelError


def interface_index(interface: str | int) -> int:
    """The index of an interface of this network namespace. KernelError ENODEV if none."""
    if isinstance(interface, int):
        return interface
    import socket  # which takes 3 ms

    try:
        return socket.if_nametoindex(interface)
    except OSError:
        raise KernelError(errno.ENODEV, f"find interface {interface!r}") from None


def interface_words(interface: str | int) -> str:
    """ "interface eth0", for messages."""
    if isinstance(interface, str):
        return f"interface {interface}"
    import socket

    try:
        return f"interface {socket.if_indextoname(interface)}"
    except OSError:
        return f"interface {interface}"
