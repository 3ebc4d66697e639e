"""Coverage as Cobertura's XML (coverage-04.dtd), which GitLab, Jenkins and Azure show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import quoteattr

from osmia.coverage.model import Branch, CoverageData, LineCounts

_HEAD = """<?xml version="1.0" ?>
<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">
"""


def cobertura(data: CoverageData) -> str:
    """The report; a file is a class of one package. Lines that were merged are not in it."""
    totals = data.totals()
    branches: dict[str, dict[int, list[Branch]]] = {}
    for branch in data.branches():
        branches.setdefault(branch.file, {}).setdefault(branch.line, []).append(branch)
    rates = f"line-rate={_rate(*totals.lines)} branch-rate={_rate(*totals.branches)}"
    counts = (
        f'lines-covered="{totals.lines[1]}" lines-valid="{totals.lines[0]}"'
        f' branches-covered="{totals.branches[1]}" branches-valid="{totals.branches[0]}"'
    )
    parts = [
        f'<coverage {rates} {counts} complexity="0" version="1" timestamp="0">',
        "<sources><source>/</source></sources>",
        f'<packages><package name="bpf" {rates} complexity="0"><classes>',
    ]
    for file, lines in data.lines().items():
        parts += _class(file, lines, branches.get(file, {}))
    parts.append("</classes></package></packages></coverage>")
    return _HEAD + "\n".join(parts) + "\n"


def _rate(there: int, ran: int) -> str:
    return f'"{ran / there if there else 1:.4f}"'


def _class(
    file: str, lines: dict[int, LineCounts], branches: dict[int, list[Branch]]
) -> Iterator[str]:
    path = Path(file).absolute()
    ways = [count for each in branches.values() for branch in each for _, count in branch.ways]
    ran = sum(each.hits > 0 for each in lines.values())
    rates = (
        f"line-rate={_rate(len(lines), ran)}"
        f" branch-rate={_rate(len(ways), sum(count > 0 for count in ways))}"
    )
    names = f"name={quoteattr(path.name)} filename={quoteattr(str(path).lstrip('/'))}"
    yield f'<class {names} {rates} complexity="0"><methods/><lines>'
    for number, line in lines.items():
        yield _line(number, line, branches.get(number, []))
    yield "</lines></class>"


def _line(number: int, line: LineCounts, branches: list[Branch]) -> str:
    head = f'<line number="{number}" hits="{line.hits}"'
    if not branches:
        return f'{head} branch="false"/>'
    there = sum(len(branch.ways) for branch in branches)
    taken = sum(count > 0 for branch in branches for _, count in branch.ways)
    conditions = "".join(
        f'<condition number="{n}" type="jump" coverage="{_percent(branch)}%"/>'
        for n, branch in enumerate(branches)
    )
    share = f"{100 * taken // there}% ({taken}/{there})"
    return (
        f'{head} branch="true" condition-coverage="{share}">'
        f"<conditions>{conditions}</conditions></line>"
    )


def _percent(branch: Branch) -> int:
    return 100 * sum(count > 0 for _, count in branch.ways) // len(branch.ways)
