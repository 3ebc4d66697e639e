"""Coverage as plain text: totals, each file's lines that lack something, and what was merged."""

from __future__ import annotations

from collections.abc import Iterator

from osmia.coverage.merged import MergedLine, merged_lines
from osmia.coverage.model import Branch, CoverageData, LineCounts


def report(data: CoverageData) -> str:
    """The report. Lines are marked: "-" never ran, "!" ran, but not all of it or not every way of
    its branches, "~" was merged into others, so that nobody knows."""
    merged, unknown = merged_lines(data)
    return "\n".join([*_totals(data, merged), *_files(data, merged), *_unknown(unknown)]) + "\n"


def _totals(data: CoverageData, merged: list[MergedLine]) -> Iterator[str]:
    totals = data.totals()
    for name in ("lines", "branches", "functions", "instructions"):
        there, ran = getattr(totals, name)
        more = (
            f", {len(merged)} more without code of their own" if name == "lines" and merged else ""
        )
        yield f"{name + ':':14}{percent(there, ran):>6}  ({ran} of {there}{more})"


def percent(there: int, ran: int) -> str:
    """A share in words; never 100% where something is left."""
    if not there:
        return "-"
    return f"{int(1000 * ran / there) / 10:g}%"


def _files(data: CoverageData, merged: list[MergedLine]) -> Iterator[str]:
    branches: dict[tuple[str, int], list[Branch]] = {}
    for branch in data.branches():
        branches.setdefault((branch.file, branch.line), []).append(branch)
    for file, lines in data.lines().items():
        shown: dict[int, list[str]] = {}
        for number, line in lines.items():
            text = _line(line, branches.get((file, number), []))
            if text:
                shown[number] = text
        for each in merged:
            if each.file == file:
                shown[each.line] = [f"~ {each.line:5} {each.text}", f"        {each.why}"]
        if shown:
            yield from ("", file)
            for _, texts in sorted(shown.items()):
                yield from texts
    places = [branch for branch in branches.get(("", 0), []) if incomplete(branch)]
    if places:
        yield from ("", "without line records")
        for branch in places:
            yield f"! {branch.function}+{branch.slot}: {ways_of(branch)}"


def _line(line: LineCounts, branches: list[Branch]) -> list[str]:
    """What of a line lacks; nothing where all of it ran."""
    head = f"{line.line:5} {line.text.strip()}"
    if not line.hits:
        return [f"- {head}"]
    lacking = [f"        {ways_of(branch)}" for branch in branches if incomplete(branch)]
    if line.ran < line.instructions:
        lacking.append(f"        {line.ran} of {line.instructions} instructions ran")
    return [f"! {head}", *lacking] if lacking else []


def incomplete(branch: Branch) -> bool:
    """Whether some way was never taken."""
    return not all(count for _, count in branch.ways)


def ways_of(branch: Branch) -> str:
    """A jump and the counts of its ways."""
    counts = ", ".join(f"{name} {count}" for name, count in branch.ways)
    return f"{branch.text}: {counts}"


def _unknown(files: list[str]) -> Iterator[str]:
    if files:
        yield ""
        for file in files:
            yield f"{file}: not there as it was compiled; what was merged is not known"
