"""The example counts what an independent reading of the same packets counts."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

import osmia

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
TELNET = 23
PASS, DROP = 2, 1


class Flow(NamedTuple):
    source: bytes
    destination: bytes
    ports: tuple[int, int]
    vlan: int
    protocol: int


@dataclass
class Reading:
    """What one packet is, said by plain slicing."""

    flow: Flow | None
    counters: frozenset[str]


def packets() -> Iterator[bytes]:
    capture = (EXAMPLES / "traffic.pcap").read_bytes()
    at = 24
    while at < len(capture):
        size = struct.unpack_from("<I", capture, at + 8)[0]
        yield capture[at + 16 : at + 16 + size]
        at += 16 + size


def read(frame: bytes) -> Reading:
    try:
        return read_ethernet(frame)
    except IndexError:
        return Reading(None, frozenset({"malformed"}))


def part(frame: bytes, at: int, size: int) -> bytes:
    """Bytes of a frame; IndexError when it ends before."""
    if at + size > len(frame):
        raise IndexError
    return frame[at : at + size]


def read_ethernet(frame: bytes) -> Reading:
    at, vlans = 12, []
    kind = part(frame, at, 2)
    while kind in (b"\x81\x00", b"\x88\xa8"):
        vlans.append(int.from_bytes(part(frame, at + 2, 2)) & 0xFFF)
        at += 4
        kind = part(frame, at, 2)
    vlan = vlans[0] if vlans else 0
    if kind == b"\x08\x00":
        return read_ipv4(frame, at + 2, vlan)
    if kind == b"\x86\xdd":
        return read_ipv6(frame, at + 2, vlan)
    return Reading(None, frozenset({"other"}))


def read_ipv4(frame: bytes, at: int, vlan: int) -> Reading:
    header = part(frame, at, 20)
    addresses = [b"\0" * 10 + b"\xff\xff" + header[start : start + 4] for start in (12, 16)]
    later_fragment = int.from_bytes(header[6:8]) & 0x1FFF != 0
    part(frame, at, header[0] % 16 * 4)
    behind = at + header[0] % 16 * 4
    return read_ports(frame, behind, addresses, vlan, header[9], later_fragment, "ipv4")


def read_ipv6(frame: bytes, at: int, vlan: int) -> Reading:
    header = part(frame, at, 40)
    protocol, at, later_fragment = header[6], at + 40, False
    while protocol in (44, 60) and not later_fragment:
        extension = part(frame, at, 8)
        if protocol == 44:
            later_fragment = int.from_bytes(extension[2:4]) & 0xFFF8 != 0
            at += 8
        else:
            at += 8 + extension[1] * 8
        protocol = extension[0]
    addresses = [header[8:24], header[24:40]]
    return read_ports(frame, at, addresses, vlan, protocol, later_fragment, "ipv6")


def read_ports(
    frame: bytes,
    at: int,
    addresses: list[bytes],
    vlan: int,
    protocol: int,
    later_fragment: bool,
    family: str,
) -> Reading:
    names, ports = {family}, (0, 0)
    if later_fragment:
        names.add("fragments")
    elif protocol in (6, 17):
        size = 20 if protocol == 6 else 8
        if at + size > len(frame):
            return Reading(None, frozenset({family, "malformed"}))
        ports = struct.unpack_from("!HH", frame, at)
        names.add("tcp" if protocol == 6 else "udp")
    if ports[1] == TELNET:
        names.add("dropped")
    return Reading(Flow(addresses[0], addresses[1], ports, vlan, protocol), frozenset(names))


def test_the_traffic_is_what_the_script_makes(tmp_path: Path) -> None:
    again = tmp_path / "again.pcap"
    subprocess.run([sys.executable, EXAMPLES / "make_traffic.py", again], check=True)
    assert again.read_bytes() == (EXAMPLES / "traffic.pcap").read_bytes()


def test_the_traffic_has_some_of_everything() -> None:
    names = Counter(name for frame in packets() for name in read(frame).counters)
    assert set(names) == {
        "ipv4", "ipv6", "tcp", "udp", "other", "fragments", "malformed", "dropped",
    }  # fmt: skip
    assert min(names.values()) > 20


@pytest.mark.kernel
def test_totals_flows_and_verdicts_are_right() -> None:
    readings = [(frame, read(frame)) for frame in packets()]
    names = Counter(name for _, reading in readings for name in reading.counters)
    expected_packets = Counter(reading.flow for _, reading in readings if reading.flow)
    expected_bytes: Counter[Flow] = Counter()
    for frame, reading in readings:
        if reading.flow:
            expected_bytes[reading.flow] += len(frame)

    obj = osmia.compile(EXAMPLES / "flows.bpf.c", compiler="zig")
    with obj.load() as bpf:
        verdicts = [bpf.programs["ingress"].run(frame).retval for frame, _ in readings]
        assert verdicts == [DROP if "dropped" in r.counters else PASS for _, r in readings]
        for name in ("ipv4", "ipv6", "tcp", "udp", "other", "fragments", "malformed", "dropped"):
            assert bpf.data[name] == names[name], name
        assert bpf.data["packets"] == len(readings)
        assert bpf.data["bytes"] == sum(len(frame) for frame, _ in readings)
        assert bpf.data["new_flows"] == len(expected_packets)
        assert bpf.data["lost_flows"] == bpf.data["lost_events"] == 0

        seen = {
            Flow(
                bytes(key.source),
                bytes(key.destination),
                (key.source_port, key.destination_port),
                key.vlan,
                key.protocol,
            ): value
            for key, value in bpf.maps["flows"].items()
        }
        assert {flow: value.packets for flow, value in seen.items()} == expected_packets
        assert {flow: value.bytes for flow, value in seen.items()} == expected_bytes
        assert all(0 < value.first_seen <= value.last_seen for value in seen.values())


@pytest.mark.kernel
@pytest.mark.parametrize(("rate", "expected"), [(1, 100), (7, 15), (0, 0)])
def test_new_flows_are_sampled(rate: int, expected: int) -> None:
    frames = [udp(port) for port in range(1000, 1100)]
    obj = osmia.compile(EXAMPLES / "flows.bpf.c", compiler="zig")
    obj.data["sample_rate"] = rate
    with obj.load() as bpf:
        for frame in 2 * frames:
            bpf.programs["ingress"].run(frame)
        ring = bpf.maps["events"]
        ring.event_codec = bpf.object.codec("flow_event")
        events = ring.read()
        assert len(events) == expected
        if events:
            assert events[0].key.source_port == 1000
            assert events[0].size == len(frames[0])
            assert events[0].verdict == PASS


@pytest.mark.kernel
def test_any_port_can_be_blocked() -> None:
    obj = osmia.compile(EXAMPLES / "flows.bpf.c", compiler="zig")
    obj.data["blocked_ports"] = [53, 9, 0, 0, 0, 0, 0, 0]
    with obj.load() as bpf:
        run = bpf.programs["ingress"].run
        verdicts = [run(udp(1000, port)).retval for port in (53, 9, 23, 0)]
        assert verdicts == [DROP, DROP, PASS, PASS]
        assert bpf.data["dropped"] == 2


def udp(source: int, destination: int = 4000) -> bytes:
    """A small IPv4 datagram."""
    ethernet = bytes(12) + b"\x08\x00"
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    return ethernet + ip + struct.pack("!HHHH", source, destination, 8, 0)
