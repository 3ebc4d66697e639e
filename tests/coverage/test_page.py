"""The HTML page."""

from __future__ import annotations

import re
from pathlib import Path

from osmia.coverage.model import CoverageData
from osmia.coverage.page import page
from osmia.coverage.writing import write

from .gate_program import SOURCE, line_of


def row(text: str, line: int) -> tuple[str, str]:
    """The class and the cells of a line."""
    found = re.search(rf'<tr class="(\w*)"><td>{line}</td>(.*)</tr>', text)
    assert found is not None
    return found[1], found[2]


def test_each_line_says_what_became_of_it(data: CoverageData, tmp_path: Path) -> None:
    write(data, tmp_path / "all.html")
    text = (tmp_path / "all.html").read_text()
    kind, cells = row(text, line_of("== 7"))
    assert kind == "part" and "taken 0" in cells
    assert row(text, line_of("== 9"))[0] == "ran"
    kind, cells = row(text, line_of("never in these"))
    assert kind == "merged" and "see the branches" in cells
    assert row(text, 1)[0] == ""


def test_the_page_stands_alone_and_escapes(data: CoverageData) -> None:
    text = page(data, "<all>")
    assert "<title>&lt;all&gt;</title>" in text
    assert "#include &lt;linux/bpf.h&gt;" in text
    assert not re.search(r'(src|href)="', text)
    assert text.count("<tr class=") == SOURCE.count("\n")


def test_a_source_that_is_gone_is_shown_by_its_records(data: CoverageData) -> None:
    moved = CoverageData()
    for function in data.functions.values():
        other = function.copy()
        other.lines = {s: each._replace(file="/gone.c") for s, each in other.lines.items()}
        moved.add(other)
    text = page(moved)
    assert "data[0] == 7" in text
    assert text.count("<tr class=") == len(moved.lines()["/gone.c"])
