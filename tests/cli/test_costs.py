"""`osmia prog profile FILE`: what programs cost, on packets and attached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SOURCE = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int gate(struct xdp_md *ctx)
{
	if (ctx->data_end - ctx->data > 20)
		return bpf_ktime_get_ns() & 1;
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
"""
CALLS = (
    SOURCE.replace("xdp_md *ctx", "bpf_raw_tracepoint_args *ctx")
    .replace('SEC("xdp")', 'SEC("raw_tp/sys_enter")')
    .replace("ctx->data_end - ctx->data > 20", "ctx->args[1] == 1")
)
LONG = "00" * 64
Cli = Callable[..., Any]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "gate.bpf.c"
    path.write_text(SOURCE)
    return path


def test_a_file_is_run_and_its_lines_are_told(osmia: Cli, source: Path) -> None:
    done = osmia("prog", "profile", source, "--engine", "vm", "--packet", LONG, "--repeat", "10")
    assert done.status == 0, done.err
    assert done.lines[0].endswith(" ns estimated")
    assert any(line.startswith("gate.bpf.c:6 ") for line in done.lines)
    assert any(line.split()[:2] == ["bpf_ktime_get_ns", "10"] for line in done.lines)


@pytest.mark.kernel
def test_in_the_kernel_time_is_measured(osmia: Cli, source: Path) -> None:
    picture = source.with_name("costs.folded")
    packets = ("--packet", LONG, "--repeat", "1000")
    done = osmia("prog", "profile", source, *packets, "-o", picture, "--json")
    assert done.status == 0, done.err
    told = done.json
    assert told["measured_ns"] == pytest.approx(told["ns"]) and told["ns"] > 0
    assert [(each["name"], each["calls"]) for each in told["calls"]] == [("bpf_ktime_get_ns", 1000)]
    assert "gate;gate.bpf.c:6 " in picture.read_text()


@pytest.mark.kernel
def test_attached_programs_are_measured_for_a_while(osmia: Cli, tmp_path: Path) -> None:
    source = tmp_path / "calls.bpf.c"
    source.write_text(CALLS)
    done = osmia("prog", "profile", source, "-d", "0.3", "--json")
    assert done.status == 0, done.err
    assert done.json["measured_ns"] > 0
    assert done.json["functions"][0]["entered"] > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--metric", "cycles"), "--metric is for a program in the kernel"),
        (("--engine", "vm"), "give --pcap or --packet"),
        (("--packet", LONG, "-o", "x.gif"), "says the format"),
    ],
)
def test_what_does_not_go_together_is_said(
    osmia: Cli, source: Path, options: tuple[str, ...], words: str
) -> None:
    done = osmia("prog", "profile", source, *options)
    assert done.status == 2
    assert words in done.err


def test_packets_are_for_files(osmia: Cli) -> None:
    done = osmia("prog", "profile", "id", "1", "--packet", LONG)
    assert done.status == 2
    assert "--packet is for a file" in done.err


def test_a_file_that_is_not_there_is_not_a_programs_name(osmia: Cli) -> None:
    done = osmia("prog", "profile", "nowhere.bpf.c", "--packet", LONG)
    assert done.status == 1
    assert "nowhere.bpf.c: No such file or directory" in done.err
