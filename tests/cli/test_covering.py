"""`osmia run --cover`: what of the programs ran, on packets and attached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osmia.coverage.kept import read_coverage

SOURCE = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int gate(struct xdp_md *ctx)
{
	if (ctx->data_end - ctx->data > 20)
		bpf_printk("long");
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
"""
CALLS = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("raw_tp/sys_enter") int enter(void *ctx)
{
	return 0;
}
char _license[] SEC("license") = "GPL";
"""
SHORT, LONG = "00" * 16, "00" * 64


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "gate.bpf.c"
    path.write_text(SOURCE)
    return path


def test_a_branch_not_taken_is_written(osmia: Callable[..., Any], source: Path) -> None:
    report = source.with_name("reached.info")
    run = osmia("run", source, "--engine", "vm", "--packet", SHORT, "--cover", report)
    assert run.status == 0
    assert f"{report}: " in run.err and "50% of branches" in run.err
    branches = [r for r in report.read_text().splitlines() if r.startswith("BRDA:5,")]
    assert sorted(r[-1] for r in branches) == ["0", "1"]


def test_packets_for_both_ways_cover_it(osmia: Callable[..., Any], source: Path) -> None:
    report = source.with_name("reached.txt")
    packets = ("--packet", SHORT, "--packet", LONG)
    assert osmia("run", source, "--engine", "vm", *packets, "--cover", report).status == 0
    assert "branches:       100%  (2 of 2)" in report.read_text()


@pytest.mark.kernel
def test_packets_in_the_kernel_are_counted_alike(osmia: Callable[..., Any], source: Path) -> None:
    report = source.with_name("reached.info")
    run = osmia("run", source, "--packet", SHORT, "--cover", report)
    assert run.status == 0
    assert f"{report}: " in run.err and "50% of branches" in run.err
    in_vm = source.with_name("vm.info")
    osmia("run", source, "--engine", "vm", "--packet", SHORT, "--cover", in_vm)
    assert report.read_text() == in_vm.read_text()


@pytest.mark.kernel
def test_what_attached_programs_do_is_counted(osmia: Callable[..., Any], tmp_path: Path) -> None:
    source, report = tmp_path / "calls.bpf.c", tmp_path / "reached.json"
    source.write_text(CALLS)
    run = osmia("run", source, "--duration", "0.3", "--cover", report)
    assert run.status == 0, run.err
    (function,) = read_coverage(report).functions.values()
    assert function.entered > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--engine", "vm", "--packet", SHORT, "--cover", "x.gcov"), "does not say a format"),
        (("--iface", "lo", "--cover", "x"), "does not say a format"),
    ],
)
def test_what_cannot_be_counted_is_said_first(
    osmia: Callable[..., Any], source: Path, arguments: tuple[str, ...], words: str
) -> None:
    run = osmia("run", source, *arguments)
    assert run.status == 2
    assert words in run.err


def test_an_error_before_anything_ran_leaves_a_report_as_it_is(
    osmia: Callable[..., Any], source: Path
) -> None:
    report = source.with_name("kept.txt")
    report.write_text("of yesterday")
    run = osmia("run", source, "--engine", "vm", "--packet", "zz", "--cover", report)
    assert run.status == 2
    assert "hexadecimal" in run.err
    assert report.read_text() == "of yesterday"
