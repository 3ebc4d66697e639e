"""The plain report: what lacks, and what the compiler merged."""

from __future__ import annotations

from pathlib import Path

import osmia
from osmia.coverage.model import CoverageData
from osmia.coverage.text import percent, report

from .gate_program import PLAIN, SOURCE, line_of


def test_a_drop_that_never_ran_is_told(data: CoverageData) -> None:
    text = report(data)
    lines = text.splitlines()
    (at,) = (n for n, line in enumerate(lines) if "data[0] == 7" in line)
    assert lines[at].startswith("!")
    assert "taken 0" in lines[at + 1]


def test_a_way_out_without_code_is_said_to_be_merged(data: CoverageData) -> None:
    lines = report(data).splitlines()
    number = line_of("never in these tests")
    (at,) = (n for n, line in enumerate(lines) if "never in these tests" in line)
    assert lines[at].split()[:2] == ["~", str(number)]
    assert f"see the branches of line {line_of('== 7')}" in lines[at + 1]
    assert number not in data.lines()[next(iter(data.lines()))]
    assert "more without code of their own" in lines[0]


def test_a_line_that_never_ran_is_told(tmp_path: Path) -> None:
    source = tmp_path / "gate.bpf.c"
    source.write_text(SOURCE)
    with osmia.compile(source).load("vm") as bpf, osmia.cover(bpf) as coverage:
        bpf.programs["gate"].run(bytes(14))
    text = coverage.text()
    assert f"- {line_of('data[1] == 9'):5} if (data[1] == 9)" in text
    source.write_text("/* another */\n" + SOURCE)
    assert "not there as it was compiled; what was merged is not known" in coverage.text()


def test_what_lacks_something_is_never_100_percent() -> None:
    assert percent(100_000, 99_999) == "99.9%"
    assert percent(3, 3) == "100%"
    assert percent(0, 0) == "-"


def test_everything_covered_names_no_branch(tmp_path: Path) -> None:
    source = tmp_path / "plain.bpf.c"
    source.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        'SEC("xdp") int plain(struct xdp_md *ctx)\n{\n'
        '\tif (ctx->data_end - ctx->data > 20)\n\t\tbpf_printk("long");\n\treturn XDP_PASS;\n}\n'
        'char _license[] SEC("license") = "GPL";\n'
    )
    with osmia.compile(source).load("vm") as bpf, osmia.cover(bpf) as coverage:
        for size in (16, 64):
            bpf.programs["plain"].run(PLAIN.ljust(size, b"\0"))
    assert "branches:       100%  (2 of 2)" in coverage.text()
    assert "!" not in coverage.text()
