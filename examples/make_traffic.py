#!/usr/bin/env python3
"""Make examples/traffic.pcap: some minutes of a small network, the same bytes each time.

    examples/make_traffic.py [FILE]

Web, name, mail and time traffic over IPv4 and IPv6, with and without VLAN tags; pings,
ARP, fragments, IPv6 extension headers; telnet for a filter to drop; frames cut off in the
middle of a header. Addresses are those reserved for documentation.
"""

from __future__ import annotations

import ipaddress
import random
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SEED = 2026
START = 1_767_614_400  # seconds since 1970: 2026-01-05, 12:00 UTC
DURATION = 180.0  # seconds
MAX_PAYLOAD = 480  # bytes: keeps the file small

ICMP, TCP, UDP, IPV6_FRAGMENT, ICMPV6, IPV6_OPTIONS = 1, 6, 17, 44, 58, 60
FIN, SYN, PSH, ACK = 0x01, 0x02, 0x08, 0x10

TimedFrame = tuple[float, bytes]
Conversation = Callable[[], Iterator[bytes]]


@dataclass(frozen=True)
class Host:
    """A machine: its IP address and the Ethernet address made from that."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address

    @property
    def mac(self) -> bytes:
        return b"\x02\x00" + self.address.packed[-4:]


@dataclass(frozen=True)
class Route:
    """From one host to another, within VLANs if any (outermost first)."""

    source: Host
    destination: Host
    vlans: tuple[int, ...] = ()

    def back(self) -> Route:
        return Route(self.destination, self.source, self.vlans)

    @property
    def is_ipv6(self) -> bool:
        return self.source.address.version == 6


def hosts(network: str, count: int) -> list[Host]:
    """The first `count` machines of a network."""
    first = ipaddress.ip_network(network)[1]
    return [Host(first + number) for number in range(count)]


CLIENTS = hosts("192.0.2.0/24", 20), hosts("2001:db8:1::/64", 20)
SERVERS = hosts("198.51.100.0/24", 6), hosts("2001:db8:2::/64", 6)


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(route: Route, ethertype: int, payload: bytes) -> bytes:
    tags = b""
    for position, vlan in enumerate(route.vlans):
        # The outer one of two is a service tag (802.1ad).
        outer_of_two = position == 0 and len(route.vlans) == 2
        tags += struct.pack("!HH", 0x88A8 if outer_of_two else 0x8100, vlan)
    return route.destination.mac + route.source.mac + tags + struct.pack("!H", ethertype) + payload


def ipv4(route: Route, protocol: int, payload: bytes, *, number: int = 0, frag: int = 0) -> bytes:
    """An IPv4 packet; `frag` is the flags and fragment offset field."""
    addresses = route.source.address.packed + route.destination.address.packed
    fields = (0x45, 0, 20 + len(payload), number, frag, 64, protocol)
    header = struct.pack("!BBHHHBBH", *fields, 0) + addresses
    header = struct.pack("!BBHHHBBH", *fields, checksum(header)) + addresses
    return ethernet(route, 0x0800, header + payload)


def ipv6(route: Route, protocol: int, payload: bytes) -> bytes:
    header = struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64)
    addresses = route.source.address.packed + route.destination.address.packed
    return ethernet(route, 0x86DD, header + addresses + payload)


def ip(route: Route, protocol: int, payload: bytes) -> bytes:
    return ipv6(route, protocol, payload) if route.is_ipv6 else ipv4(route, protocol, payload)


def transport(route: Route, protocol: int, header: bytes, at: int, payload: bytes) -> bytes:
    """Header and payload, with the checksum over both and the pseudo header put in at `at`."""
    addresses = route.source.address.packed + route.destination.address.packed
    pseudo = addresses + struct.pack("!II", len(header) + len(payload), protocol)
    value = checksum(pseudo + header + payload) or 0xFFFF
    return header[:at] + struct.pack("!H", value) + header[at + 2 :] + payload


def tcp(route: Route, ports: tuple[int, int], seq: int, ack: int, flags: int, data: bytes) -> bytes:
    header = struct.pack("!HHIIBBHHH", *ports, seq, ack, 5 << 4, flags, 64240, 0, 0)
    return ip(route, TCP, transport(route, TCP, header, 16, data))


def datagram(route: Route, ports: tuple[int, int], data: bytes) -> bytes:
    """A UDP header and its data."""
    header = struct.pack("!HHHH", *ports, 8 + len(data), 0)
    return transport(route, UDP, header, 6, data)


class Network:
    """Conversations at random times between random machines; one seed, one traffic."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def frames(self) -> list[TimedFrame]:
        """All conversations together, in the order of time."""
        everything = [
            *self.many(130, lambda: self.tcp_conversation((443, 80, 443, 8443), rounds=6)),
            *self.many(12, lambda: self.tcp_conversation((25, 587), rounds=4)),
            *self.many(12, lambda: self.tcp_conversation((23,), rounds=3)),
            *self.many(240, lambda: self.question_and_answer(53)),
            *self.many(60, lambda: self.question_and_answer(123)),
            *self.many(25, self.stream),
            *self.many(50, self.ping),
            *self.many(60, self.arp),
            *self.many(15, self.ipv4_fragments),
            *self.many(15, self.ipv6_fragments),
            *self.many(20, self.ipv6_options),
        ]
        everything += self.cut_off(everything, count=40)
        return sorted(everything, key=lambda frame: frame[0])

    def many(self, count: int, conversation: Conversation) -> Iterator[TimedFrame]:
        """`count` conversations, each spread over some time from a random moment on."""
        for _ in range(count):
            moment = self.random.uniform(0, DURATION)
            for frame in conversation():
                yield moment, frame
                moment += self.random.expovariate(20)

    def route(self, family: int | None = None) -> Route:
        """A client and a server, one in four in a VLAN or two."""
        if family is None:
            family = self.random.choice((0, 0, 1))
        vlans = self.random.choice(((), (), (), (), (), (), (100,), (10, 200)))
        client = self.random.choice(CLIENTS[family])
        return Route(client, self.random.choice(SERVERS[family]), vlans)

    def data(self, least: int = 0, most: int = MAX_PAYLOAD) -> bytes:
        return self.random.randbytes(self.random.randint(least, most))

    def port(self) -> int:
        return self.random.randint(32768, 60999)

    def tcp_conversation(self, services: tuple[int, ...], rounds: int) -> Iterator[bytes]:
        """Handshake, requests and answers, and the end."""
        route = self.route()
        back = route.back()
        ports = self.port(), self.random.choice(services)
        ports_back = ports[::-1]
        ours, theirs = self.random.getrandbits(31), self.random.getrandbits(31)
        yield tcp(route, ports, ours, 0, SYN, b"")
        yield tcp(back, ports_back, theirs, ours + 1, SYN | ACK, b"")
        yield tcp(route, ports, ours := ours + 1, theirs := theirs + 1, ACK, b"")
        for _ in range(self.random.randint(1, rounds)):
            request = self.data(20, 200)
            yield tcp(route, ports, ours, theirs, PSH | ACK, request)
            ours += len(request)
            for _ in range(self.random.randint(1, 4)):
                answer = self.data(40)
                yield tcp(back, ports_back, theirs, ours, ACK, answer)
                theirs += len(answer)
            yield tcp(route, ports, ours, theirs, ACK, b"")
        yield tcp(route, ports, ours, theirs, FIN | ACK, b"")
        yield tcp(back, ports_back, theirs, ours + 1, FIN | ACK, b"")

    def question_and_answer(self, service: int) -> Iterator[bytes]:
        """As DNS and NTP do."""
        route, ports = self.route(), (self.port(), service)
        yield ip(route, UDP, datagram(route, ports, self.data(28, 60)))
        yield ip(route.back(), UDP, datagram(route.back(), ports[::-1], self.data(48, 300)))

    def stream(self) -> Iterator[bytes]:
        """Datagrams of one size in one direction, as sound or video."""
        route, ports = self.route().back(), (5004, self.port())
        for _ in range(self.random.randint(5, 30)):
            yield ip(route, UDP, datagram(route, ports, self.random.randbytes(172)))

    def ping(self) -> Iterator[bytes]:
        route = self.route()
        identifier = self.random.getrandbits(16)
        request, reply, protocol = (128, 129, ICMPV6) if route.is_ipv6 else (8, 0, ICMP)
        for number in range(self.random.randint(1, 3)):
            for kind, way in ((request, route), (reply, route.back())):
                header = struct.pack("!BBHHH", kind, 0, 0, identifier, number)
                if route.is_ipv6:
                    message = transport(way, protocol, header, 2, bytes(56))
                else:
                    value = checksum(header + bytes(56))
                    message = header[:2] + struct.pack("!H", value) + header[4:] + bytes(56)
                yield ip(way, protocol, message)

    def arp(self) -> Iterator[bytes]:
        """Who has an address, and the answer."""
        route = self.route(0)
        head = struct.pack("!HHBB", 1, 0x0800, 6, 4)
        asking = route.source.mac + route.source.address.packed
        asked = route.destination.mac + route.destination.address.packed
        unknown = bytes(6) + route.destination.address.packed
        yield ethernet(route, 0x0806, head + struct.pack("!H", 1) + asking + unknown)
        yield ethernet(route.back(), 0x0806, head + struct.pack("!H", 2) + asked + asking)

    def ipv4_fragments(self) -> Iterator[bytes]:
        """One datagram in pieces of 400 bytes: only the first has the ports."""
        route, number = self.route(0), self.random.getrandbits(16)
        whole = datagram(route, (self.port(), 2049), self.random.randbytes(1000))
        for start in range(0, len(whole), 400):
            more = 0x2000 if start + 400 < len(whole) else 0
            piece = whole[start : start + 400]
            yield ipv4(route, UDP, piece, number=number, frag=more | start // 8)

    def ipv6_fragments(self) -> Iterator[bytes]:
        route, number = self.route(1), self.random.getrandbits(32)
        whole = datagram(route, (self.port(), 2049), self.random.randbytes(1000))
        for start in range(0, len(whole), 400):
            more = int(start + 400 < len(whole))
            header = struct.pack("!BBHI", UDP, 0, start | more, number)
            yield ipv6(route, IPV6_FRAGMENT, header + whole[start : start + 400])

    def ipv6_options(self) -> Iterator[bytes]:
        """A datagram behind a destination options header of 16 bytes, padding only."""
        route = self.route(1)
        options = struct.pack("!BBBB", UDP, 1, 1, 12) + bytes(12)
        yield ipv6(route, IPV6_OPTIONS, options + datagram(route, (self.port(), 53), self.data()))

    def cut_off(self, frames: Iterable[TimedFrame], count: int) -> list[TimedFrame]:
        """Copies of some frames that end within their headers."""
        chosen = self.random.sample([*frames], count)
        return [(moment, frame[: self.random.randint(15, 33)]) for moment, frame in chosen]


def pcap(frames: Iterable[TimedFrame]) -> Iterator[bytes]:
    """A capture file, classic format, microseconds, Ethernet."""
    yield struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for moment, frame in frames:
        microseconds = round(moment * 1_000_000)
        seconds, rest = divmod(microseconds, 1_000_000)
        yield struct.pack("<IIII", START + seconds, rest, len(frame), len(frame)) + frame


def main() -> None:
    default = Path(__file__).with_name("traffic.pcap")
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    target.write_bytes(b"".join(pcap(Network(SEED).frames())))


if __name__ == "__main__":
    main()
