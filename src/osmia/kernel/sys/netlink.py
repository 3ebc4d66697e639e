"""Route netlink, as much of it as attaching needs: one request, its answers, its error.

Layouts: include/uapi/linux/netlink.h. A library that brings an event loop of its own
would not work where the caller already runs in one; this is one socket and two loops.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Iterator, Mapping

from osmia.closing import ClosedByWith
from osmia.enums import IntFlag
from osmia.errors import BpfPermissionError, KernelError
from osmia.kernel.sys.privileges import Capability, permission_hint


class NetlinkFlag(IntFlag):
    """NLM_F_*."""

    REQUEST = 0x1
    ACK = 0x4
    ECHO = 0x8
    REPLACE = 0x100
    EXCL = 0x200
    CREATE = 0x400
    DUMP = 0x300


_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")
_ERROR, _DONE = 2, 3
_ERROR_BYTES = 4 + _HEADER.size
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_EXT_ACK_MESSAGE = 1
_TYPE_MASK = 0x3FFF
_BUFFER = 1 << 16
#: A request is answered at once or never.
_TIMEOUT_SECONDS = 10.0


class RouteSocket(ClosedByWith):
    """A NETLINK_ROUTE socket in the network namespace that it was made in."""

    def __init__(self) -> None:
        import socket  # which takes 3 ms

        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._sequence = 0
        try:
            self._socket.settimeout(_TIMEOUT_SECONDS)
            self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
            self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
            self._socket.bind((0, 0))
        except BaseException:
            self._socket.close()
            raise

    def request(self, kind: int, flags: NetlinkFlag, body: bytes, what: str) -> list[bytes]:
        """Send one message; the bodies of the answers. KernelError with the kernel's words."""
        self._sequence += 1
        ask = NetlinkFlag.REQUEST | flags
        if flags & NetlinkFlag.DUMP != NetlinkFlag.DUMP:
            ask |= NetlinkFlag.ACK
        length = _HEADER.size + len(body)
        self._socket.send(_HEADER.pack(length, kind, ask, self._sequence, 0) + body)
        answers: list[bytes] = []
        while True:
            for answer_kind, answer in self._receive():
                if answer_kind == _ERROR:
                    _raise_error(answer, what)
                    return answers
                if answer_kind == _DONE:
                    return answers
                answers.append(answer)

    def _receive(self) -> Iterator[tuple[int, bytes]]:
        """One datagram's messages that answer the last request: (type, body)."""
        data = self._socket.recv(_BUFFER)
        position = 0
        while position + _HEADER.size <= len(data):
            length, kind, _flags, sequence, _port = _HEADER.unpack_from(data, position)
            if length < _HEADER.size:
                return
            if sequence == self._sequence:
                yield kind, data[position + _HEADER.size : position + length]
            position += length + 3 & ~3

    def close(self) -> None:
        """Close the socket; nothing happens the second time."""
        self._socket.close()


def attributes(values: Iterable[tuple[int, bytes]]) -> bytes:
    """Pack (type, payload) pairs."""
    packed = bytearray()
    for kind, payload in values:
        packed += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(payload), kind) + payload
        packed += bytes(-len(packed) % 4)
    return bytes(packed)


def parse_attributes(data: bytes) -> Mapping[int, bytes]:
    """Payloads by type; of several with one type the last."""
    found: dict[int, bytes] = {}
    position = 0
    while position + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, position)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _TYPE_MASK] = data[position + _ATTRIBUTE.size : position + length]
        position += length + 3 & ~3
    return found


def _raise_error(body: bytes, what: str) -> None:
    (error,) = struct.unpack_from("=i", body)
    if not error:
        return
    said = parse_attributes(body[_ERROR_BYTES:]).get(_EXT_ACK_MESSAGE, b"")
    hint = said.rstrip(b"\0").decode("utf-8", "replace")
    if -error in (errno.EPERM, errno.EACCES):
        hint = "; ".join(filter(None, (hint, permission_hint((Capability.CAP_NET_ADMIN,)))))
        raise BpfPermissionError(-error, what, hint=hint)
    raise KernelError(-error, what, hint=hint)
