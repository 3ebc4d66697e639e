"""Packets on the command line: `--packet HEX|FILE` and `--pcap FILE[:N]`, the same everywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from osmia.cli.literals import parse_hex
from osmia.named_tuples import NamedTuple

_PCAP_MAGICS = (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")
_PCAPNG = b"\x0a\x0d\x0d\x0a"


class Captured(NamedTuple):
    """A capture, and which of its packets is meant, from 1; 0 for all."""

    path: Path
    number: int


def packet_of(text: str) -> bytes:
    """The packet that `--packet` gives: hexadecimal, or a file's bytes. UsageError for others."""
    path = Path(text)
    if not os.path.isfile(text):  # noqa: PTH113 - what is too long for a name is none
        return parse_hex(text)
    data = path.read_bytes()
    if data[:4] in (*_PCAP_MAGICS, _PCAPNG):
        raise click.UsageError(f"{path} is a capture: give it with --pcap")
    return data


def captured(text: str) -> Captured:
    """What `--pcap` says: a file, or `FILE:4`, its fourth packet."""
    name, colon, digits = text.rpartition(":")
    if colon and digits.isdigit() and int(digits) and not os.path.exists(text):  # noqa: PTH110
        return Captured(Path(name), int(digits))
    return Captured(Path(text), 0)


def packets_of(pcap: str | None, packets: Sequence[str]) -> Iterator[tuple[float, bytes]]:
    """The packets of a capture, or the one that is meant, and those given by themselves; with
    their times. UsageError."""
    given = [(0.0, packet_of(text)) for text in packets]
    if pcap:
        from osmia.captures.packets import read_packets

        path, number = captured(pcap)
        count = 0
        for count, packet in enumerate(read_packets(path), 1):
            if number in (0, count):
                yield packet
        if number > count:
            raise missing(path, number, count)
    yield from given


def missing(path: Path, number: int, count: int) -> click.UsageError:
    """The error for a packet that a capture has not."""
    return click.UsageError(f"{path} has {count} packets: there is no number {number}")
