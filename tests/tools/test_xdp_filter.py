"""xdp-filter drops what it was told to, and counts it."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
from collections.abc import Iterator

import pytest

from osmia.tools.programs import open_program
from osmia.tools.xdp_filter import xdp_filter

ETHERNET = bytes(12)
UDP, TCP, ICMP = 17, 6, 1
CLONE_NEWNET = 0x4000_0000
PORT = 7219


def ipv4(source: str, protocol: int, port: int, fragment: int = 0, options: int = 0) -> bytes:
    begin = struct.pack(">BxHHHBBH", 0x45 + options, 0, 0, fragment, 64, protocol, 0)
    addresses = socket.inet_aton(source) + socket.inet_aton("10.9.9.9")
    return ETHERNET + b"\x08\0" + begin + addresses + bytes(4 * options) + ports(port)


def ipv6(source: str, protocol: int, port: int) -> bytes:
    begin = struct.pack(">IHBB", 6 << 28, 8, protocol, 64)
    addresses = socket.inet_pton(socket.AF_INET6, source) + bytes(16)
    return ETHERNET + b"\x86\xdd" + begin + addresses + ports(port)


def ports(to: int) -> bytes:
    return struct.pack(">HH", 4000, to) + bytes(20)


@pytest.mark.parametrize(
    ("packet", "rule"),
    [
        (ipv4("10.1.2.3", ICMP, 0), "10.0.0.0/8"),
        (ipv4("11.1.2.3", ICMP, 0), None),
        (ipv6("fe80::7", TCP, 80), "fe80::7"),
        (ipv6("fe80::8", TCP, 80), "tcp/80"),
        (ipv4("11.1.2.3", TCP, 80), "tcp/80"),
        (ipv4("11.1.2.3", TCP, 80, options=3), "tcp/80"),
        (ipv4("11.1.2.3", UDP, 80), None),
        (ipv4("11.1.2.3", UDP, 53), "udp/53"),
        (ipv4("11.1.2.3", UDP, 53, fragment=0x2000), "udp/53"),
        (ipv4("11.1.2.3", UDP, 53, fragment=100), None),
        (ETHERNET + b"\x08\x06" + bytes(46), None),
        (ipv4("10.1.2.3", UDP, 53)[:20], None),
        (ipv4("11.1.2.3", UDP, 53)[:36], None),
        (ipv6("fe80::7", UDP, 53)[:40], None),
        (b"\x08" * 14, None),
    ],
)
@pytest.mark.parametrize("engine", ["vm", pytest.param("kernel", marks=pytest.mark.kernel)])
def test_packets_are_dropped_by_the_rule_for_them(
    packet: bytes, rule: str | None, engine: str
) -> None:
    from osmia.tools.xdp_filter import _place

    with open_program("xdp_filter").load(engine=engine) as loaded:
        rules = {
            each: _place(loaded.maps, each)
            for each in ("10.0.0.0/8", "fe80::7", "tcp/80", "udp/53")
        }
        for entries, key in rules.values():
            entries[key] = {}
        retval = loaded.programs["filter"].run(packet).retval
        counted = {each: dict(entries[key]) for each, (entries, key) in rules.items()}
    dropped = {"packets": 1, "bytes": len(packet)}
    assert {each: count for each, count in counted.items() if count["packets"]} == (
        {rule: dropped} if rule else {}
    )
    assert retval == (1 if rule else 2)


@pytest.fixture
def own_network() -> Iterator[None]:
    """A network namespace with nothing but `lo`, for this thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        assert libc.unshare(CLONE_NEWNET) == 0
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        assert libc.setns(home, CLONE_NEWNET) == 0
        os.close(home)


def arrived(server: socket.socket, address: tuple[str, int]) -> bool:
    """Whether a datagram for the server comes to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"hello", address)
    try:
        return server.recv(10, socket.MSG_DONTWAIT) == b"hello"
    except BlockingIOError:
        return False


@pytest.mark.kernel
@pytest.mark.usefixtures("both_kernels", "own_network")
def test_on_an_interface_it_drops_until_it_ends() -> None:
    address = ("127.0.0.1", PORT)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(address)
        with xdp_filter("lo", deny=(f"udp/{PORT}", "10.0.0.0/8")) as summary:
            assert not arrived(server, address)
            assert summary.report() == {
                f"udp/{PORT}": {"packets": 1, "bytes": 47},
                "10.0.0.0/8": {"packets": 0, "bytes": 0},
            }
            assert not arrived(server, address)
            assert summary.report()[f"udp/{PORT}"]["packets"] == 1
        assert arrived(server, address)
        with xdp_filter("lo", deny=("127.0.0.0/9",)) as summary:
            assert not arrived(server, address)


@pytest.mark.kernel
@pytest.mark.usefixtures("own_network")
@pytest.mark.parametrize("rule", ["", "tcp/70000", "tcp/x", "10.0.0.300", "icmp/1", "10.0.0.1/8"])
def test_what_is_no_rule_attaches_nothing(rule: str) -> None:
    with pytest.raises(ValueError), xdp_filter("lo", deny=("10.0.0.0/8", rule)):
        pass
    shown = subprocess.run(["ip", "link", "show", "lo"], capture_output=True, text=True, check=True)
    assert "xdp" not in shown.stdout
