"""Files of coverage."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from osmia.coverage.cobertura import cobertura
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


def test_cobertura_has_the_branches_of_a_line(data: CoverageData) -> None:
    root = ElementTree.fromstring(cobertura(data))
    lines = {int(line.get("number", "")): line for line in root.iter("line")}
    seven, nine = lines[line_of("== 7")], lines[line_of("== 9")]
    assert (seven.get("hits"), seven.get("condition-coverage")) == ("4", "50% (1/2)")
    assert nine.get("condition-coverage") == "100% (2/2)"
    assert line_of("never in these") not in lines
    there, taken = data.totals().branches
    assert (root.get("branches-valid"), root.get("branches-covered")) == (str(there), str(taken))
    (file,) = root.iter("class")
    source = next(iter(data.lines()))
    assert f"/{file.get('filename')}" == source


def test_names_in_cobertura_are_escaped(data: CoverageData) -> None:
    (function,) = (each for each in data.functions.values() if each.name == "weigh")
    odd = function.copy()
    odd.lines = {slot: line._replace(file='/a&"<b.c') for slot, line in odd.lines.items()}
    root = ElementTree.fromstring(cobertura(CoverageData({odd.key: odd})))
    assert [each.get("filename") for each in root.iter("class")] == ['a&"<b.c']
