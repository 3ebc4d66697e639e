"""Packets on the command line are given the same way everywhere."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from osmia.cli.packets import packet_of, packets_of

from .conftest import Result

Cli = Callable[..., Result]

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
SEC("xdp") int sized(struct xdp_md *ctx) { return ctx->data_end - ctx->data > 70 ? 1 : 2; }
"""


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "three.pcap"
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for size in (60, 80, 61):
        data += struct.pack("<IIII", 0, 0, size, size) + bytes(size)
    path.write_bytes(data)
    return path


def test_hexadecimal_that_is_too_long_for_a_name_is_a_packet() -> None:
    assert packet_of("00" * 9000) == bytes(9000)


def sizes(*given: object, pcap: Path | str | None = None) -> list[int]:
    found = packets_of(None if pcap is None else str(pcap), [str(each) for each in given])
    return [len(data) for _, data in found]


def test_a_packet_is_hexadecimal_or_a_files_bytes(tmp_path: Path, capture: Path) -> None:
    (tmp_path / "raw").write_bytes(bytes(33))
    assert packet_of("00:01 02") == b"\0\1\2"
    assert sizes("00" * 14, tmp_path / "raw") == [14, 33]
    with pytest.raises(click.UsageError, match="is a capture: give it with --pcap"):
        packet_of(str(capture))
    with pytest.raises(click.UsageError, match="is not hexadecimal"):
        packet_of("nowhere")


def test_a_capture_is_all_of_its_packets_or_one(capture: Path) -> None:
    assert sizes("00" * 14, pcap=capture) == [60, 80, 61, 14]
    assert sizes(pcap=f"{capture}:2") == [80]
    with pytest.raises(click.UsageError, match="has 3 packets: there is no number 4"):
        sizes(pcap=f"{capture}:4")


def test_run_and_profile_take_both(osmia: Cli, tmp_path: Path, capture: Path) -> None:
    source = tmp_path / "sized.bpf.c"
    source.write_text(SOURCE)
    (tmp_path / "raw").write_bytes(bytes(90))
    words = ("--engine", "vm", "--packet", tmp_path / "raw", "--pcap", f"{capture}:3")
    run = osmia("run", source, *words)
    assert run.status == 0 and "2 packets in" in run.out
    profiled = osmia("prog", "profile", source, *words, "-j")
    assert profiled.status == 0 and profiled.json
