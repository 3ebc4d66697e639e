"""Packets for tests of packet programs, each from its Ethernet header on."""

from __future__ import annotations

ADDRESSES = bytes(range(2, 14))
UDP = bytes.fromhex("04d2162e00180000") + b"hello world 1234"


def ethernet(protocol: bytes, payload: bytes, addresses: bytes = ADDRESSES) -> bytes:
    """A frame; `protocol` is its type field, tags before it included."""
    return addresses + protocol + payload


def ipv4(tos: int = 0, payload: bytes = UDP) -> bytes:
    """An IPv4 packet of UDP; its header checksum is not right."""
    head = bytes([0x45, tos, 0, 20 + len(payload)]) + bytes.fromhex("0001000040111234")
    return head + bytes([10, 0, 0, 1, 10, 0, 0, 2]) + payload


def ipv6(traffic_class: int = 0, payload: bytes = UDP) -> bytes:
    """An IPv6 packet of UDP."""
    first = bytes([0x60 | traffic_class >> 4, (traffic_class & 15) << 4, 0, 0])
    return first + bytes([0, len(payload), 17, 64]) + bytes(range(32)) + payload


IPV4 = ethernet(b"\x08\0", ipv4())
IPV6 = ethernet(b"\x86\xdd", ipv6())
PACKETS = {
    "IPv4": IPV4,
    "IPv6": IPV6,
    "tagged": ethernet(b"\x81\0\0\7\x08\0", ipv4()),
    "tagged twice": ethernet(b"\x88\xa8\0\5\x81\0\0\7\x86\xdd", ipv6()),
    "ARP": ethernet(b"\x08\6", bytes(28)),
    "tagged 802.3": ethernet(b"\x81\0\0\7\0\x10\xff\xff", bytes(28)),
    "tagged 802.2": ethernet(b"\x81\0\0\7\0\x10\xff\xfe", bytes(28)),
    "half a tag": ethernet(b"\x81\0\1", b""),
    "a tag and a half": ethernet(b"\x88\xa8\0\1\x81\0\1", b""),
    "header only": ethernet(b"\x88\xb5", b""),
    "loopback": ethernet(b"\x08\0", ipv4(), bytes(12)),
    "broadcast": ethernet(b"\0\x10", bytes(30), b"\xff" * 12),
    "multicast 802.3": ethernet(b"\0\x10\xff\xff", bytes(30), b"\1" * 12),
    **{f"IPv4, ECN {ecn}": ethernet(b"\x08\0", ipv4(0xFC | ecn)) for ecn in range(4)},
    **{f"IPv6, ECN {ecn}": ethernet(b"\x86\xdd", ipv6(0xFC | ecn)) for ecn in range(4)},
}
