"""Coverage as coverage.py's data, so that Python and C stand in one report.

coverage.py knows lines, and branches as pairs of a line and where it goes on. Here the second
number is negative and different for each way of each jump of a line, so that none covers another.
What it does not keep, the lines that have code at all, is in a file beside the data, for
`osmia.coverage.plugin`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from osmia.coverage.kept import read_coverage, to_json
from osmia.coverage.model import Branch, CoverageData
from osmia.errors import MissingPackageError
from osmia.files import write_whole

BESIDE = "osmia-coverage.json"
"""The file beside the data."""
TRACER = "osmia.coverage.plugin.Programs"
_ENTRY = -1
_FIRST_WAY = 2


def ways_of(data: CoverageData) -> Iterator[tuple[Branch, str, tuple[int, int], int]]:
    """Each way of each branch that has a line: the branch, the way's name, its pair, its count."""
    used: dict[tuple[str, int], int] = {}
    for branch in data.branches():
        if branch.line:
            for name, count in branch.ways:
                place = branch.file, branch.line
                number = used[place] = used.get(place, _FIRST_WAY - 1) + 1
                yield branch, name, (branch.line, -number), count


def add_to_data(data: CoverageData, path: str | os.PathLike[str]) -> None:
    """Add coverage to a data file of coverage.py's (`.coverage`), which is made where there is
    none; branches unless that has lines only. Raises MissingPackageError without coverage.py."""
    try:
        from coverage import CoverageData as Measured
    except ImportError as error:
        raise MissingPackageError("coverage", extra="coverage") from error
    path = Path(path)
    measured = Measured(basename=str(path))
    measured.read()
    lines = {
        str(Path(file).absolute()): [number for number, line in here.items() if line.hits]
        for file, here in data.lines().items()
    }
    if measured.measured_files() and not measured.has_arcs():
        measured.add_lines(lines)
    else:
        arcs = {file: [(_ENTRY, number) for number in here] for file, here in lines.items()}
        for branch, _, way, count in ways_of(data):
            if count:
                arcs[str(Path(branch.file).absolute())].append(way)
        measured.add_arcs(arcs)
    measured.touch_files(lines, TRACER)
    measured.close()
    beside = path.with_name(BESIDE)
    known = read_coverage(beside) if beside.exists() else CoverageData()
    write_whole(beside, to_json(known.merge(data)).encode(), durable=False)
