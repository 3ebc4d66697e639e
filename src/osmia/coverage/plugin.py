"""A plugin of coverage.py's that reports C files which `osmia.cover` counted.

    [tool.coverage.run]
    plugins = ["osmia.coverage.plugin"]

Its option `data` is the file that was written beside `.coverage`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coverage import CoveragePlugin, FileReporter
from osmia.coverage.kept import read_coverage
from osmia.coverage.model import CoverageData
from osmia.coverage.python import BESIDE, ways_of


class Programs(CoveragePlugin):
    """Reports the files of programs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._data: CoverageData | None = None

    def file_reporter(self, filename: str) -> FileReporter:
        if self._data is None:
            self._data = read_coverage(self._path)
        return CSource(filename, self._data)


class CSource(FileReporter):
    """The lines and ways of one C file."""

    def __init__(self, filename: str, data: CoverageData) -> None:
        super().__init__(filename)
        self._lines = {
            number
            for file, here in data.lines().items()
            for number in here
            if str(Path(file).absolute()) == filename
        }
        self._ways = {
            pair: f"line {branch.line}: {branch.text} was never {name}"
            for branch, name, pair, _ in ways_of(data)
            if str(Path(branch.file).absolute()) == filename
        }

    def lines(self) -> set[int]:
        return self._lines

    def arcs(self) -> set[tuple[int, int]]:
        return set(self._ways)

    def exit_counts(self) -> dict[int, int]:
        counts: dict[int, int] = {}
        for line, _ in self._ways:
            counts[line] = counts.get(line, 0) + 1
        return counts

    def missing_arc_description(self, start: int, end: int, executed_arcs: Any = None) -> str:
        return self._ways.get((start, end), "")


def coverage_init(registry: Any, options: dict[str, str]) -> None:
    """What coverage.py calls."""
    registry.add_file_tracer(Programs(Path(options.get("data", BESIDE))))
