"""Lightweight tunnels: a route whose packets go through programs, as
`ip route add PREFIX encap bpf out obj FILE section SECTION dev DEV` makes it (since 4.10)."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Mapping

from osmia.kernel.rtnetlink.interfaces import interface_index
from osmia.kernel.sys.fd import NamedDescriptor
from osmia.kernel.sys.netlink import NetlinkFlag, RouteSocket, attributes

# include/uapi/linux/rtnetlink.h
_NEW_ROUTE, _DELETE_ROUTE = 24, 25
_MESSAGE = struct.Struct("=8BI")  # struct rtmsg
_MAIN_TABLE, _BOOT, _LINK_SCOPE, _UNIVERSE, _UNICAST = 254, 3, 253, 0, 1
_DESTINATION, _INTERFACE, _GATEWAY, _ENCAP_TYPE, _ENCAP = 1, 4, 5, 21, 22
# include/uapi/linux/lwtunnel.h
_ENCAP_BPF = 6
_HOOKS = {"in": 1, "out": 2, "xmit": 3}
_HEADROOM = 4
_FD, _NAME = 1, 2
_NESTED = 0x8000

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def add_route(
    prefix: str | Network,
    interface: str | int,
    *,
    programs: Mapping[str, NamedDescriptor],
    names: dict[str, str] | None = None,
    gateway: str = "",
    headroom: int = 0,
    replace: bool = False,
) -> None:
    """Make a route through `programs`, by hook: "in", "out", "xmit". It stays.

    `names` are what `ip route show` calls them (default: the programs' names). `headroom`,
    bytes, is what an xmit program may put in front of a packet.
    """
    network = ipaddress.ip_network(prefix)
    encap = [
        (_HOOKS[hook] | _NESTED, _program(program, (names or {}).get(hook, program.name)))
        for hook, program in programs.items()
    ]
    if headroom:
        encap.append((_HEADROOM, struct.pack("=I", headroom)))
    body = _route(network, interface, gateway) + attributes(
        [(_ENCAP_TYPE, struct.pack("=H", _ENCAP_BPF)), (_ENCAP | _NESTED, attributes(encap))]
    )
    flags = NetlinkFlag.CREATE | (NetlinkFlag.REPLACE if replace else NetlinkFlag.EXCL)
    with RouteSocket() as socket_:
        socket_.request(_NEW_ROUTE, flags, body, f"add a route to {network} through BPF")


def remove_route(prefix: str | Network, interface: str | int) -> None:
    """Remove a route."""
    network = ipaddress.ip_network(prefix)
    with RouteSocket() as socket_:
        body = _route(network, interface, "")
        socket_.request(_DELETE_ROUTE, NetlinkFlag(0), body, f"remove the route to {network}")


def _program(program: NamedDescriptor, name: str) -> bytes:
    text = name.encode("utf-8", "surrogateescape") + b"\0"
    return attributes([(_FD, struct.pack("=I", program.fileno())), (_NAME, text)])


def _route(network: Network, interface: str | int, gateway: str) -> bytes:
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    scope = _UNIVERSE if gateway or network.version == 6 else _LINK_SCOPE
    message = _MESSAGE.pack(family, network.prefixlen, 0, 0, _MAIN_TABLE, _BOOT, scope, _UNICAST, 0)
    parts = [
        (_DESTINATION, network.network_address.packed),
        (_INTERFACE, struct.pack("=I", interface_index(interface))),
    ]
    if gateway:
        parts.append((_GATEWAY, ipaddress.ip_address(gateway).packed))
    return message + attributes(parts)
