"""Capture files of both formats, right and damaged, and programs run over them."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osmia.captures.packets import read_packets, run_packets, verdict_name
from osmia.errors import ObjectFormatError
from osmia.object import ProgramType

PACKETS = [(1.5, b"a" * 60), (2.25, b""), (1_700_000_000.125, b"c" * 1514)]


def pcap(order: str = "<", nanoseconds: bool = False, link_type: int = 1) -> bytes:
    fraction = 10**9 if nanoseconds else 10**6
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    data = struct.pack(f"{order}IHHIIII", magic, 2, 4, 0, 0, 65535, link_type)
    for time, packet in PACKETS:
        seconds, parts = int(time), round(time % 1 * fraction)
        data += struct.pack(f"{order}IIII", seconds, parts, len(packet), len(packet)) + packet
    return data


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + length + body + length


def pcapng(order: str = "<", resolution: int | None = None, offset: int = 0) -> bytes:
    """A section; the resolution is the option's byte: a power of 10, or of 2 above 0x80."""
    section = struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1)
    options = b""
    ticks = 10**6
    if resolution is not None:
        options += struct.pack(f"{order}HHB3x", 9, 1, resolution)
        ticks = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    if offset:
        options += struct.pack(f"{order}HHq", 14, 8, offset)
    interface = struct.pack(f"{order}HHI", 1, 0, 65535) + options
    data = block(order, 0x0A0D0D0A, section) + block(order, 1, interface)
    data += block(order, 4, b"name resolution, to be skipped")
    for time, packet in PACKETS:
        units = round((time - offset) * ticks)
        head = struct.pack(
            f"{order}IIIII", 0, units >> 32, units & 0xFFFFFFFF, len(packet), len(packet)
        )
        data += block(order, 6, head + packet + bytes(-len(packet) % 4))
    return data


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "capture"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_pcap(file: Path, order: str, nanoseconds: bool) -> None:
    file.write_bytes(pcap(order, nanoseconds))
    assert list(read_packets(file)) == PACKETS


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("resolution", "offset"), [(None, 0), (9, 0), (0x80 | 20, 0), (6, 1)])
def test_pcapng(file: Path, order: str, resolution: int | None, offset: int) -> None:
    file.write_bytes(pcapng(order, resolution, offset))
    assert list(read_packets(file)) == PACKETS


def test_sections_may_follow_each_other_in_any_byte_order(file: Path) -> None:
    file.write_bytes(pcapng("<") + pcapng(">"))
    assert list(read_packets(file)) == PACKETS * 2


def test_simple_and_obsolete_packets(file: Path) -> None:
    simple = block("<", 3, struct.pack("<I", 5) + b"hello")
    obsolete = block("<", 2, struct.pack("<HHIIII", 0, 0, 0, 10**6, 3, 3) + b"old")
    head = pcapng()[: 28 + 20]
    file.write_bytes(head + simple + obsolete)
    assert list(read_packets(file)) == [(0.0, b"hello"), (1.0, b"old")]


@pytest.mark.parametrize("whole", [pcap(), pcapng()], ids=["pcap", "pcapng"])
def test_a_file_that_ends_early_is_an_error_after_its_packets(file: Path, whole: bytes) -> None:
    file.write_bytes(whole[:-5])
    found = []
    with pytest.raises(ObjectFormatError, match="ends within") as caught:
        for each in read_packets(file):
            found.append(each)
    assert found == PACKETS[:2]
    assert caught.value.file == str(file)
    assert caught.value.offset


def test_other_link_types_are_refused(file: Path) -> None:
    file.write_bytes(pcap(link_type=101))
    with pytest.raises(ObjectFormatError, match=r"link type 101, not Ethernet \(1\)"):
        list(read_packets(file))
    assert len(list(read_packets(file, link_type=101))) == 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends within the magic number"),
        (b"GIF89a..", "neither a pcap nor a pcapng file"),
        (pcap()[:24] + struct.pack("<IIII", 0, 0, 1 << 31, 1 << 31), "a packet of 2147483648"),
        (pcapng()[:28] + struct.pack("<II", 6, 0), "a block of 0 bytes"),
        (pcapng()[:28] + struct.pack("<II", 6, 0xFFFFFFFC), "a block of 4294967292 bytes"),
        (pcapng()[:28] + block("<", 6, bytes(20)), "interface 0, which is not described"),
        (pcapng()[:48] + block("<", 6, bytes(4)), "too short"),
        (pcapng()[:8] + b"what" + pcapng()[12:], "without a byte order"),
    ],
)
def test_damage_is_named(file: Path, data: bytes, message: str) -> None:
    file.write_bytes(data)
    with pytest.raises(ObjectFormatError, match=message):
        list(read_packets(file))


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    st.sampled_from([pcap(), pcapng(), pcapng(">", 9)]),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
)
def test_damaged_files_give_packets_or_our_error(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(whole)
    for position, value in changes:
        data[position % len(data)] = value
    path = tmp_path_factory.mktemp("hostile") / "capture"
    path.write_bytes(data)
    try:
        for _ in read_packets(path):
            pass
    except ObjectFormatError as error:
        assert error.offset is not None


class Outcome(NamedTuple):
    retval: int


class Odd:
    """A program whose verdict is whether the packet's size is odd."""

    def run(self, data: bytes) -> Outcome:
        return Outcome(len(data) % 2)


def test_a_program_runs_over_packets_one_by_one() -> None:
    def packets() -> Iterator[tuple[float, bytes]]:
        yield from [(0.0, b"a"), (1.0, b"bb"), (2.0, b"ccc")]

    results = list(run_packets(Odd(), packets()))
    assert [data for data, _ in results] == [b"a", b"bb", b"ccc"]
    assert Counter(outcome.retval for _, outcome in results) == {1: 2, 0: 1}


def test_verdicts_have_names() -> None:
    assert verdict_name(ProgramType.XDP, 2) == "XDP_PASS"
    assert verdict_name(ProgramType.XDP, 77) == "77"
    assert verdict_name(ProgramType.SCHED_CLS, 2) == "TC_ACT_SHOT"
    assert verdict_name(ProgramType.SCHED_CLS, 0xFFFFFFFF) == "TC_ACT_UNSPEC"
    assert verdict_name(ProgramType.SOCKET_FILTER, 64) == "64"
