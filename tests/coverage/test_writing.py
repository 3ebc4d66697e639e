"""Files of coverage."""

from __future__ import annotations

from pathlib import Path

import pytest

from osmia.coverage.lcov import lcov
from osmia.coverage.model import CoverageData
from osmia.coverage.writing import write

from .gate_program import line_of


def test_lcov_has_lines_branches_and_functions(data: CoverageData) -> None:
    records = lcov(data).splitlines()
    assert records[0] == "TN:"
    assert records[1].startswith("SF:/") and records[1].endswith("gate.bpf.c")
    assert f"DA:{line_of('== 7')},4" in records
    condition = [r for r in records if r.startswith(f"BRDA:{line_of('== 7')},")]
    assert sorted(r.rsplit(",", 1)[1] for r in condition) == ["0", "4"]
    assert "FNDA:5,gate" in records and "FNDA:3,weigh" in records
    there, hit = (int(next(r[4:] for r in records if r.startswith(k))) for k in ("BRF:", "BRH:"))
    assert data.totals().branches == (there, hit)
    assert hit < there
    assert not any(r.startswith(f"DA:{line_of('never in these')},") for r in records)


def test_a_jump_that_never_ran_is_no_branch_missed_but_none_reached(data: CoverageData) -> None:
    empty = CoverageData().merge(data)
    for function in empty.functions.values():
        function.slots = dict.fromkeys(function.slots, 0)
        function.ways = dict.fromkeys(function.ways, 0)
    ways = [r for r in lcov(empty).splitlines() if r.startswith("BRDA:")]
    assert ways and all(r.endswith(",-") for r in ways)


def test_the_name_says_the_format(data: CoverageData, tmp_path: Path) -> None:
    write(data, tmp_path / "all.info")
    assert (tmp_path / "all.info").read_text() == lcov(data)
    write(data, tmp_path / "all.txt")
    assert (tmp_path / "all.txt").read_text().startswith("lines:")
    with pytest.raises(ValueError, match=r"'all\.bin' does not say a format"):
        write(data, tmp_path / "all.bin")
    with pytest.raises(ValueError, match="format='gcov': one of"):
        write(data, tmp_path / "all.bin", "gcov")
    assert not (tmp_path / "all.bin").exists()
