"""What a packet is, in a line for each layer: Ethernet, VLAN, IPv4, IPv6, TCP, UDP, ICMP.

For people who look at a packet that a program treated wrongly; what is cut off or unknown is
said to be so, and nothing is refused.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from struct import unpack_from

_ETHERNET, _VLAN, _IPV4, _IPV6 = 14, 4, 20, 40
_TAGS = {0x8100: "VLAN", 0x88A8: "VLAN (outer)"}
_PROTOCOLS = {1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 47: "GRE", 58: "ICMPv6", 132: "SCTP"}
_TCP_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")
_ICMP = {0: "echo reply", 3: "unreachable", 5: "redirect", 8: "echo request", 11: "time exceeded"}
_ICMPV6 = {1: "unreachable", 2: "packet too big", 3: "time exceeded", 128: "echo request"}
_ICMPV6 |= {129: "echo reply", 133: "router solicitation", 134: "router advertisement"}
_ICMPV6 |= {135: "neighbour solicitation", 136: "neighbour advertisement"}
#: IPv6 extension headers that begin with the next header and their length (RFC 8200, 4.3-4.6).
_EXTENSIONS = {0: "hop-by-hop options", 43: "routing", 60: "destination options"}
_FRAGMENT = 44

#: A layer that decodes the bytes from an offset on.
_Layer = Callable[[bytes, int], Iterator[str]]


def summary(packet: bytes) -> list[str]:
    """A packet from its Ethernet header on, a line for each layer.

    >>> summary(packet)
    ['Ethernet 02:00:00:00:00:01 > 02:00:00:00:00:02, IPv4', 'IPv4 10.0.0.1 > …', …]
    """
    return list(_ethernet(packet))


def _ethernet(packet: bytes) -> Iterator[str]:
    if len(packet) < _ETHERNET:
        yield f"{len(packet)} bytes: an Ethernet header is cut off"
        return
    to, source = packet[:6].hex(":"), packet[6:12].hex(":")
    (kind,) = unpack_from("!H", packet, 12)
    yield f"Ethernet {source} > {to}, {_ether_type(kind)}, {len(packet)} bytes"
    at = _ETHERNET
    while kind in _TAGS:
        if at + _VLAN > len(packet):
            yield f"{_TAGS[kind]}: cut off"
            return
        tag, following = unpack_from("!HH", packet, at)
        yield f"{_TAGS[kind]} {tag & 0xFFF}, priority {tag >> 13}, {_ether_type(following)}"
        kind, at = following, at + _VLAN
    if kind == 0x0800:
        yield from _ipv4(packet, at)
    elif kind == 0x86DD:
        yield from _ipv6(packet, at)


def _ether_type(kind: int) -> str:
    names = {0x0800: "IPv4", 0x0806: "ARP", 0x86DD: "IPv6", 0x8100: "VLAN", 0x88A8: "VLAN (outer)"}
    return names.get(kind, f"type {kind:#06x}")


def _ipv4(packet: bytes, at: int) -> Iterator[str]:
    if at + _IPV4 > len(packet):
        yield f"IPv4: cut off, {len(packet) - at} of {_IPV4} bytes"
        return
    first, tos, length, number, fragment, ttl, protocol = unpack_from("!BBHHHBB", packet, at)
    source, to = (socket.inet_ntoa(packet[at + n : at + n + 4]) for n in (12, 16))
    size = (first & 15) * 4
    more = f", TOS {tos:#04x}" if tos else ""
    if first >> 4 != 4 or size < _IPV4:
        more += f", wrong: its first byte is {first:#04x}"
    if length != len(packet) - at:
        more += f", says {length} bytes and has {len(packet) - at}"
    later = fragment & 0x1FFF
    if fragment & 0x3FFF:
        more += f", fragment {number} at {later * 8}"
    yield f"IPv4 {source} > {to}, {_protocol(protocol)}, TTL {ttl}{more}"
    if not later and size >= _IPV4:
        yield from _transport(packet, at + size, protocol)


def _ipv6(packet: bytes, at: int) -> Iterator[str]:
    if at + _IPV6 > len(packet):
        yield f"IPv6: cut off, {len(packet) - at} of {_IPV6} bytes"
        return
    length, following, hops = unpack_from("!HBB", packet, at + 4)
    source, to = (socket.inet_ntop(socket.AF_INET6, packet[at + n : at + n + 16]) for n in (8, 24))
    has = len(packet) - at - _IPV6
    more = f", says {length} bytes and has {has}" if length != has else ""
    yield f"IPv6 {source} > {to}, {_protocol(following)}, hop limit {hops}{more}"
    at += _IPV6
    while following in _EXTENSIONS or following == _FRAGMENT:
        if at + 8 > len(packet):
            yield f"IPv6 {_protocol(following)}: cut off"
            return
        yield f"IPv6 {_protocol(following)}"
        if following == _FRAGMENT and unpack_from("!H", packet, at + 2)[0] & 0xFFF8:
            return  # a later fragment: no header follows
        size = 8 if following == _FRAGMENT else 8 + packet[at + 1] * 8
        following, at = packet[at], at + size
    yield from _transport(packet, at, following)


def _protocol(number: int) -> str:
    if number == _FRAGMENT:
        return "fragment"
    return _PROTOCOLS.get(number) or _EXTENSIONS.get(number) or f"protocol {number}"


def _transport(packet: bytes, at: int, protocol: int) -> Iterator[str]:
    layers: dict[int, tuple[int, _Layer]] = {6: (20, _tcp), 17: (8, _udp)}
    layers |= {1: (4, _icmp), 58: (4, _icmpv6)}
    size, layer = layers.get(protocol, (0, None))
    if layer is None:
        return
    if at + size > len(packet):
        yield f"{_protocol(protocol)}: cut off, {max(len(packet) - at, 0)} of {size} bytes"
    else:
        yield from layer(packet, at)


def _tcp(packet: bytes, at: int) -> Iterator[str]:
    source, to, sequence, acknowledged, offset, flags, window = unpack_from("!HHIIBBH", packet, at)
    said = " ".join(name for bit, name in enumerate(_TCP_FLAGS) if flags >> bit & 1) or "no flags"
    left = len(packet) - at - (offset >> 4) * 4
    numbers = f"seq {sequence}, ack {acknowledged}, window {window}"
    yield f"TCP {source} > {to}, {said}, {numbers}, {max(left, 0)} bytes of data"


def _udp(packet: bytes, at: int) -> Iterator[str]:
    source, to, length, _checksum = unpack_from("!HHHH", packet, at)
    has = len(packet) - at
    more = f", says {length} bytes and has {has}" if length != has else ""
    yield f"UDP {source} > {to}, {has - 8} bytes of data{more}"


def _icmp(packet: bytes, at: int) -> Iterator[str]:
    yield f"ICMP {_ICMP.get(packet[at], 'type')} ({packet[at]}), code {packet[at + 1]}"


def _icmpv6(packet: bytes, at: int) -> Iterator[str]:
    yield f"ICMPv6 {_ICMPV6.get(packet[at], 'type')} ({packet[at]}), code {packet[at + 1]}"
