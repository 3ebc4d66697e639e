"""A report for a terminal: short, the dearest first."""

from __future__ import annotations

from collections.abc import Iterator

from osmia.object.model import SourceLine
from osmia.verifier.origins import Origin
from osmia.verifier.path_lines import PathLine
from osmia.verifier.report import Report

_FEW, _MANY = 8, 40
_PATH = 20


def lines_of(report: Report, *, verbose: bool = False) -> Iterator[tuple[str, str]]:
    """The report's lines, each with its style: "", "bold", "dim", a colour."""
    name = report.program or "the program"
    if report.accepted:
        yield f"{name}: accepted", "green"
    else:
        yield f"{name}: rejected: {report.summary}", "red"
    yield from _counts(report)
    if not report.accepted:
        yield from _path(report, _MANY * 10 if verbose else _PATH)
        yield from _origins(report)
    yield from _costs(report, _MANY if verbose else _FEW)


def line_text(line: SourceLine | None, slot: int) -> str:
    """A source line as `file.c:12: text`, or the instruction's number."""
    if line is None:
        return f"instruction {slot}"
    where = f"{line.file.rsplit('/', 1)[-1]}:{line.line}: " if line.line else ""
    return f"{where}{line.text}"


def _counts(report: Report) -> Iterator[tuple[str, str]]:
    said = [
        f"{limit.used:,} of {limit.limit:,} {limit.name}"
        + (f" ({limit.share:.0%})" if limit.share >= 0.5 else "")
        for limit in report.cost.limits
        if limit.used
    ]
    yield f"  {', '.join(said)}", "yellow" if _near(report) else ""
    numbers = report.statistics
    more = [
        _count(numbers.total_states, "state") if numbers.total_states is not None else "",
        f"{numbers.microseconds / 1000:,.1f} ms" if numbers.microseconds is not None else "",
        "" if report.log.whole else f"the log has {report.cost.visits:,} of the instructions only",
    ]
    if any(more):
        yield f"  {', '.join(filter(None, more))}", "dim"


def _near(report: Report) -> bool:
    return any(limit.share >= 0.75 for limit in report.cost.limits)


def _path(report: Report, most: int) -> Iterator[tuple[str, str]]:
    if not report.path:
        return
    how = "" if report.path_certain else " (as far as the log tells)"
    yield f"  the path{how}:", "bold"
    left_out = report.path_omitted + max(0, len(report.path) - most)
    if left_out:
        yield f"    ({left_out:,} lines before)", "dim"
    function = ""
    for each in report.path[-most:]:
        if each.function != function:
            function = each.function
            yield f"    in {function}:", "dim"
        yield f"      {_path_line(each)}", ""
        for decision in each.decisions[-2:]:
            yield f"          {decision}", "dim"


def _path_line(each: PathLine) -> str:
    again = f"  ({each.times:,} times)" if each.times > 1 else ""
    return f"{line_text(each.line, each.slot)}{again}"


def _origins(report: Report) -> Iterator[tuple[str, str]]:
    for origin in report.origins:
        yield f"  where {origin.place} came from:", "bold"
        yield from _origin(report, origin, 2)


def _origin(report: Report, origin: Origin, depth: int) -> Iterator[tuple[str, str]]:
    known = f" = {origin.known}" if origin.known else ""
    what = f"{'  ' * depth}{origin.place}{known}: {origin.how}"
    if origin.visit < 0:
        yield what, ""
    else:
        yield f"{what} ({origin.slot}: {origin.text})", ""
        line = report.places.line(origin.slot)
        if line is not None:
            yield f"{'  ' * depth}    {line_text(line, origin.slot)}", "dim"
    for each in origin.made_of:
        yield from _origin(report, each, depth + 1)


def _costs(report: Report, most: int) -> Iterator[tuple[str, str]]:
    cost = report.cost
    if not cost.visits:
        return
    if len(cost.functions) > 1:
        yield "  instructions looked at, by function:", "bold"
        for function in cost.functions[:most]:
            stack = f", {function.stack} bytes of stack" if function.stack else ""
            yield f"    {_share(function.visits, cost.visits)}  {function.name}{stack}", ""
    if cost.lines:
        yield "  by line:", "bold"
        for line in cost.lines[:most]:
            where = f"{line.file.rsplit('/', 1)[-1]}:{line.line}: " if line.line else ""
            yield f"    {_share(line.visits, cost.visits)}  {where}{line.text}", ""
    if cost.loops:
        yield "  loops:", "bold"
        for loop in cost.loops[: most // 2]:
            where = line_text(report.places.line(loop.last), loop.last)
            rounds = _count(loop.rounds, "round")
            yield f"    {_share(loop.visits, cost.visits)}  {rounds}  {where}", ""
    if cost.branches:
        yield "  branches whose other way was looked at, too:", "bold"
        for branch in cost.branches[: most // 2]:
            where = line_text(report.places.line(branch.slot), branch.slot)
            times = _count(branch.times, "time")
            yield f"    {_share(branch.visits, cost.visits)}  {times}  {where}", ""


def _share(visits: int, of: int) -> str:
    return f"{visits:>9,} {visits / of:>4.0%}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"
