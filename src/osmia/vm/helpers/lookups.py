"""Helpers that look sockets up among those that a test describes (`osmia.vm.sockets`)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from osmia.object.uapi import ProgramType
from osmia.vm.errors import ProgramFault
from osmia.vm.helpers.table import TC, Argument, Invocation, helper
from osmia.vm.maps.constants import E_INVAL, M32, M64

if TYPE_CHECKING:
    from osmia.vm.sockets import Socket

E_EXIST, E_PROTOTYPE, E_SOCKET = -17 & M64, -91 & M64, -94 & M64
_SIZES = {12: 4, 36: 16}
"""Bytes of the tuples of IPv4 and IPv6, and of an address in them."""
_LOOKUP = frozenset({ProgramType.SK_LOOKUP})
REPLACE, NO_REUSEPORT = 1, 2  # BPF_SK_LOOKUP_F_*
LOOKUP_PROTOCOL = 12
"""Offset in struct bpf_sk_lookup (include/uapi/linux/bpf.h); the selected socket is at 0."""
_NUMBERS = {"tcp": 6, "udp": 17}

_TUPLE = Argument.CONTEXT, Argument.READ, Argument.SIZE, Argument.ANY, Argument.ANY


def _find(
    call: Invocation, kind: str, place: int, size: int, netns: int, flags: int
) -> Socket | None:
    """The socket that a tuple names, in the namespace that the program is in."""
    size &= M32
    width = _SIZES.get(size)
    if call.vm.sockets is None or width is None or flags or not netns >> 31 & 1:
        return None
    raw = call.read(place, size)
    source, target = (ip_address(raw[at : at + width]) for at in (0, width))
    ports = [int.from_bytes(raw[at : at + 2], "big") for at in (2 * width, 2 * width + 2)]
    return call.vm.sockets.find(kind, (source, ports[0]), (target, ports[1]))


def _address(call: Invocation, socket: Socket | None, *, full: bool = True) -> int:
    if socket is None or call.vm.sockets is None or (full and not socket.is_full):
        return 0
    return call.vm.sockets.address(socket)


@helper("sk_lookup_tcp", *_TUPLE)
def sk_lookup_tcp(call: Invocation, ctx: int, place: int, size: int, netns: int, flags: int) -> int:
    """bpf_sk_lookup_tcp, since 4.20."""
    return _address(call, _find(call, "tcp", place, size, netns, flags))


@helper("sk_lookup_udp", *_TUPLE)
def sk_lookup_udp(call: Invocation, ctx: int, place: int, size: int, netns: int, flags: int) -> int:
    """bpf_sk_lookup_udp, since 4.20."""
    return _address(call, _find(call, "udp", place, size, netns, flags))


@helper("skc_lookup_tcp", *_TUPLE)
def skc_lookup_tcp(
    call: Invocation, ctx: int, place: int, size: int, netns: int, flags: int
) -> int:
    """bpf_skc_lookup_tcp, since 5.2: what waits for its end, or begins, too."""
    return _address(call, _find(call, "tcp", place, size, netns, flags), full=False)


def _at(call: Invocation, address: int) -> Socket:
    found = call.vm.sockets.at(address) if call.vm.sockets is not None else None
    if found is None:
        raise ProgramFault(f"{address:#x} is no socket that was looked up")
    return found


@helper("sk_fullsock", Argument.ANY)
def sk_fullsock(call: Invocation, address: int) -> int:
    """bpf_sk_fullsock, since 5.1."""
    return address if _at(call, address).is_full else 0


@helper("get_listener_sock", Argument.ANY)
def get_listener_sock(call: Invocation, address: int) -> int:
    """bpf_get_listener_sock, since 5.1."""
    from osmia.vm.sockets import LISTEN

    return address if _at(call, address).number == LISTEN else 0


@helper("tcp_sock", Argument.ANY)
def tcp_sock(call: Invocation, address: int) -> int:
    """bpf_tcp_sock, since 5.1."""
    socket = _at(call, address)
    if not socket.is_full or socket.protocol != "tcp":
        return 0
    assert call.vm.sockets is not None
    return call.vm.sockets.address(socket, "struct bpf_tcp_sock")


@helper("sk_assign", Argument.CONTEXT, Argument.ANY, Argument.ANY, types=TC | _LOOKUP)
def sk_assign(call: Invocation, ctx: int, address: int, flags: int) -> int:
    """bpf_sk_assign, since 5.7, of a packet: who gets it is noted."""
    if call.has_packet:
        if flags:
            return E_INVAL
        socket: Socket | None = _at(call, address)
    else:
        socket = _at(call, address) if address else None
        refused = _refused(call, socket, flags)
        if refused:
            return refused
        call.vm.memory.store64(call.context, address)
    assert call.vm.sockets is not None
    call.vm.sockets.assigned.append(socket)
    return 0


def _refused(call: Invocation, socket: Socket | None, flags: int) -> int:
    """The failure for a socket that cannot take a connection; since 5.9."""
    if flags & ~(REPLACE | NO_REUSEPORT):
        return E_INVAL
    memory = call.vm.memory
    protocol = memory.load32(call.context + LOOKUP_PROTOCOL)
    if socket is not None and _NUMBERS[socket.protocol] != protocol:
        return E_PROTOTYPE
    if socket is not None and socket.remote is not None:
        return E_SOCKET
    return E_EXIST if memory.load64(call.context) and not flags & REPLACE else 0
