"""Packets from capture files, pcap and pcapng, and programs run over them.

Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. (The dpkt package reads both
too, but its import costs 46 ms for protocols that nobody asked for, it takes a file that
ends within a packet for a whole one, and its last release is of 2022.)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Protocol, TypeVar

from osmia.arguments import names_wrong_arguments
from osmia.errors import ObjectFormatError
from osmia.named_tuples import NamedTuple
from osmia.object.uapi import ProgramType
from osmia.object.verdicts import verdict

#: LINKTYPE_ETHERNET: packets begin with an Ethernet header, as test runs want them.
ETHERNET = 1

#: The types of programs whose test runs take packets.
PACKET_TYPES = (
    ProgramType.XDP,
    ProgramType.SCHED_CLS,
    ProgramType.SCHED_ACT,
    ProgramType.SOCKET_FILTER,
    ProgramType.CGROUP_SKB,
    ProgramType.LWT_IN,
    ProgramType.LWT_OUT,
    ProgramType.LWT_XMIT,
    ProgramType.SK_SKB,
    ProgramType.NETFILTER,
)

#: A longer packet, or pcapng block, is a damaged file. libpcap's own limit for packets.
_LONGEST_PACKET = 256 << 10
_LONGEST_BLOCK = 16 << 20

#: The first four bytes of a pcap file: byte order, and parts of a second in timestamps.
_PCAP_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 10**6),
    b"\xa1\xb2\xc3\xd4": (">", 10**6),
    b"\x4d\x3c\xb2\xa1": ("<", 10**9),
    b"\xa1\xb2\x3c\x4d": (">", 10**9),
}
_PCAP_HEADER_REST = 20
_LINK_TYPE_MASK = 0x0FFF_FFFF  # above it: the length of a frame check sequence

# pcapng block types and options
_INTERFACE, _OBSOLETE_PACKET, _SIMPLE_PACKET, _PACKET = 1, 2, 3, 6
_SECTION_MAGIC = b"\x0a\x0d\x0d\x0a"
_BYTE_ORDER_MAGIC = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_RESOLUTION, _OFFSET = 9, 14


class RunOutcome(Protocol):
    """What every engine tells of a test run."""

    @property
    def retval(self) -> int:
        """The program's verdict."""


Outcome = TypeVar("Outcome", bound=RunOutcome, covariant=True)


class PacketProgram(Protocol[Outcome]):
    """What runs packets: a program of either engine."""

    def run(self, data: bytes) -> Outcome:
        """Run once on a packet."""


@names_wrong_arguments
def run_packets(
    program: PacketProgram[Outcome], packets: Iterable[tuple[float, bytes]]
) -> Iterator[tuple[bytes, Outcome]]:
    """Run a packet program on each packet; gives pairs of the packet and the run's result.

    >>> verdicts = Counter(result.retval for _, result in run_packets(program, read_packets(path)))
    """
    run = program.run
    for packet in packets:
        if not isinstance(packet, tuple | list) or len(packet) != 2:
            raise TypeError(f"packets are pairs of a time and bytes, not {packet!r:.80}")
        yield packet[1], run(packet[1])


@names_wrong_arguments
def read_packets(
    path: str | os.PathLike[str], *, link_type: int = ETHERNET
) -> Iterator[tuple[float, bytes]]:
    """The packets of a capture file: the time in seconds since 1970, and the captured bytes.

    Takes pcap (in both byte orders, micro- and nanoseconds) and pcapng, and no packets but
    those of `link_type`. Raises ObjectFormatError, with the offset, for a file that is
    neither, is cut off or damaged, or has other packets; OSError when it cannot be read.
    """
    name = os.fspath(path)
    with Path(path).open("rb") as file:
        source = _Source(file, name)
        magic = source.take(4, "the magic number")
        if magic in _PCAP_MAGIC:
            yield from _read_pcap(source, *_PCAP_MAGIC[magic], link_type)
        elif magic == _SECTION_MAGIC:
            yield from _read_pcapng(source, link_type)
        else:
            raise ObjectFormatError("neither a pcap nor a pcapng file", file=name, offset=0)


class _Source:
    """A file that is read piece by piece, and never beyond its end."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self.name = name
        self.offset = 0

    def take(self, size: int, what: str) -> bytes:
        """Exactly `size` bytes."""
        data = self._file.read(size)
        if len(data) < size:
            raise self.error(f"the file ends within {what}")
        self.offset += size
        return data

    def header(self, size: int, what: str) -> bytes:
        """`size` bytes, or none at the end of the file."""
        data = self._file.read(size)
        if 0 < len(data) < size:
            raise self.error(f"the file ends within {what}")
        self.offset += len(data)
        return data

    def error(self, message: str) -> ObjectFormatError:
        return ObjectFormatError(message, file=self.name, offset=self.offset)

    def check_link_type(self, found: int, wanted: int) -> None:
        if found != wanted:
            expected = "Ethernet (1)" if wanted == ETHERNET else str(wanted)
            raise self.error(f"packets of link type {found}, not {expected}")


def _read_pcap(
    source: _Source, order: str, fraction: int, link_type: int
) -> Iterator[tuple[float, bytes]]:
    *_, found = Struct(f"{order}HHIIII").unpack(source.take(_PCAP_HEADER_REST, "its header"))
    source.check_link_type(found & _LINK_TYPE_MASK, link_type)
    record = Struct(f"{order}IIII")
    while header := source.header(record.size, "a packet's header"):
        seconds, parts, length, _original = record.unpack(header)
        if length > _LONGEST_PACKET:
            raise source.error(f"a packet of {length} bytes")
        yield seconds + parts / fraction, source.take(length, "a packet")


class _Interface(NamedTuple):
    """What a pcapng interface says about its packets' times: ticks a second, seconds to add."""

    link_type: int
    resolution: int = 10**6
    offset: int = 0


def _read_pcapng(source: _Source, link_type: int) -> Iterator[tuple[float, bytes]]:
    order = _section_order(source)
    interfaces: list[_Interface] = []
    while header := source.header(8, "a block's header"):
        if header[:4] == _SECTION_MAGIC:  # the same in both byte orders
            order = _section_order(source, header[4:])
            interfaces = []
            continue
        kind, length = Struct(f"{order}II").unpack(header)
        body = _block_body(source, length)
        if kind == _INTERFACE:
            interfaces.append(_interface(source, body, order))
        elif kind in (_PACKET, _OBSOLETE_PACKET):
            layout = "IIIII" if kind == _PACKET else "HHIIII"
            yield _packet(source, body, order, layout, interfaces, link_type)
        elif kind == _SIMPLE_PACKET:
            yield _simple_packet(source, body, order, interfaces, link_type)


def _section_order(source: _Source, length: bytes = b"") -> str:
    """The byte order of a section; its header block is read to the end.

    `length` is the block's, when it was read already; the block's type always was.
    """
    length = length or source.take(4, "a section's header")
    order = _BYTE_ORDER_MAGIC.get(source.take(4, "a section's header"))
    if order is None:
        raise source.error("a section without a byte order")
    (size,) = Struct(f"{order}I").unpack(length)
    _block_body(source, size, already=12)
    return order


def _block_body(source: _Source, length: int, already: int = 8) -> bytes:
    """What a block has between its header and the length that ends it."""
    if length % 4 or not already + 4 <= length <= _LONGEST_BLOCK:
        raise source.error(f"a block of {length} bytes")
    return source.take(length - already, "a block")[:-4]


def _interface(source: _Source, body: bytes, order: str) -> _Interface:
    if len(body) < 8:
        raise source.error("an interface description that is too short")
    (link_type,) = Struct(f"{order}H").unpack_from(body)
    resolution, offset = 10**6, 0
    for code, value in _options(body[8:], order):
        if code == _RESOLUTION and len(value) == 1:
            base = 2 if value[0] & 0x80 else 10
            resolution = int(base ** (value[0] & 0x7F))
        elif code == _OFFSET and len(value) == 8:
            (offset,) = Struct(f"{order}q").unpack(value)
    return _Interface(link_type, resolution, offset)


def _options(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    head = Struct(f"{order}HH")
    position = 0
    while position + head.size <= len(data):
        code, length = head.unpack_from(data, position)
        position += head.size
        yield code, data[position : position + length]
        position += length + -length % 4


def _packet(
    source: _Source,
    body: bytes,
    order: str,
    layout: str,
    interfaces: list[_Interface],
    link_type: int,
) -> tuple[float, bytes]:
    head = Struct(order + layout)
    if len(body) < head.size:
        raise source.error("a packet block that is too short")
    index, *_drops, high, low, length, _original = head.unpack_from(body)
    interface = _known(source, interfaces, index, link_type)
    if length > len(body) - head.size:
        raise source.error(f"a packet of {length} bytes in a block with less")
    time = (high << 32 | low) / interface.resolution + interface.offset
    return time, body[head.size : head.size + length]


def _simple_packet(
    source: _Source, body: bytes, order: str, interfaces: list[_Interface], link_type: int
) -> tuple[float, bytes]:
    """A packet without a time; what was captured of it is what the block holds."""
    if len(body) < 4:
        raise source.error("a packet block that is too short")
    _known(source, interfaces, 0, link_type)
    (length,) = Struct(f"{order}I").unpack_from(body)
    return 0.0, body[4 : 4 + length]


def _known(source: _Source, interfaces: list[_Interface], index: int, link_type: int) -> _Interface:
    if index >= len(interfaces):
        raise source.error(f"a packet of interface {index}, which is not described")
    source.check_link_type(interfaces[index].link_type, link_type)
    return interfaces[index]


@names_wrong_arguments
def verdict_name(program_type: int, retval: int) -> str:
    """What a packet program's return value is called: "XDP_DROP"; else the number.
    `osmia.object.verdicts` has the names."""
    return str(verdict(program_type, retval))
