"""A packet in a line for each layer, whatever is wrong with it."""

from __future__ import annotations

import socket
import struct

from hypothesis import given
from hypothesis import strategies as st

from osmia.captures.summary import summary

ETHERNET = bytes.fromhex("020000000002 020000000001")
A, B = socket.inet_aton("10.0.0.1"), socket.inet_aton("10.0.0.2")
SIX = [socket.inet_pton(socket.AF_INET6, text) for text in ("2001:db8::1", "2001:db8::2")]
TCP = struct.pack("!HHIIBBHHH", 40000, 443, 7, 9, 5 << 4, 0x12, 1024, 0, 0)
UDP = struct.pack("!HHHH", 5353, 53, 10, 0) + b"ab"


def ipv4(protocol: int, rest: bytes, fragment: int = 0, length: int = 0) -> bytes:
    length = length or 20 + len(rest)
    return struct.pack("!BBHHHBBH", 0x45, 0, length, 1, fragment, 64, protocol, 0) + A + B + rest


def test_tcp_over_ipv4() -> None:
    packet = ETHERNET + b"\x08\0" + ipv4(6, TCP + b"abc")
    assert summary(packet) == [
        "Ethernet 02:00:00:00:00:01 > 02:00:00:00:00:02, IPv4, 57 bytes",
        "IPv4 10.0.0.1 > 10.0.0.2, TCP, TTL 64",
        "TCP 40000 > 443, SYN ACK, seq 7, ack 9, window 1024, 3 bytes of data",
    ]


def test_udp_over_ipv6_with_an_extension_in_a_vlan() -> None:
    options = bytes([17, 0]) + bytes(6)
    ip = struct.pack("!IHBB", 6 << 28, len(options + UDP), 0, 3) + b"".join(SIX) + options + UDP
    packet = ETHERNET + b"\x81\0" + struct.pack("!HH", 5 << 13 | 7, 0x86DD) + ip
    assert summary(packet)[1:] == [
        "VLAN 7, priority 5, IPv6",
        "IPv6 2001:db8::1 > 2001:db8::2, hop-by-hop options, hop limit 3",
        "IPv6 hop-by-hop options",
        "UDP 5353 > 53, 2 bytes of data",
    ]


def test_icmp_and_what_has_no_name() -> None:
    assert summary(ETHERNET + b"\x08\0" + ipv4(1, bytes([8, 0, 0, 0])))[2:] == [
        "ICMP echo request (8), code 0"
    ]
    assert summary(ETHERNET + b"\x08\0" + ipv4(99, b""))[1:] == [
        "IPv4 10.0.0.1 > 10.0.0.2, protocol 99, TTL 64"
    ]
    assert summary(ETHERNET + b"\x88\xb5") == [
        "Ethernet 02:00:00:00:00:01 > 02:00:00:00:00:02, type 0x88b5, 14 bytes"
    ]


def test_what_is_wrong_is_said() -> None:
    cut = (ETHERNET + b"\x08\0" + ipv4(6, TCP))[:40]
    assert summary(cut)[1:] == [
        "IPv4 10.0.0.1 > 10.0.0.2, TCP, TTL 64, says 40 bytes and has 26",
        "TCP: cut off, 6 of 20 bytes",
    ]
    assert summary(cut[:20])[1:] == ["IPv4: cut off, 6 of 20 bytes"]
    assert summary(b"abc") == ["3 bytes: an Ethernet header is cut off"]


def test_a_later_fragment_has_no_header_of_the_next_layer() -> None:
    packet = ETHERNET + b"\x08\0" + ipv4(6, TCP, fragment=100)
    assert summary(packet)[1:] == ["IPv4 10.0.0.1 > 10.0.0.2, TCP, TTL 64, fragment 1 at 800"]


@given(st.sampled_from([b"\x08\0", b"\x86\xdd", b"\x81\0", b"\x08\6"]), st.binary(max_size=120))
def test_nothing_is_refused(kind: bytes, rest: bytes) -> None:
    assert summary(ETHERNET + kind + rest)[0].startswith("Ethernet")
