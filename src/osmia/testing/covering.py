"""`pytest --bpf-cov`: what a whole session's tests reached, also those of xdist's workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from osmia.coverage.collecting import cover
from osmia.coverage.kept import from_json, to_json
from osmia.coverage.model import CoverageData
from osmia.coverage.text import percent, report
from osmia.coverage.writing import format_of, write
from osmia.engine.loaded import LoadedObject
from osmia.errors import NotSupportedError

COVERING = pytest.StashKey["Covering"]()
_OUTPUT = "osmia_coverage"


class Covering:
    """A plugin that is registered where coverage is asked for: it writes `files` and fails the
    session where less than `least` per cent of the branches were taken."""

    def __init__(self, config: pytest.Config, files: list[str], least: float | None) -> None:
        for file in files:
            if file != "-":
                format_of(file)
        self._files = files
        self._least = least
        self._worker: dict[str, Any] | None = getattr(config, "workeroutput", None)
        self._data = CoverageData()
        self._not_counted: set[str] = set()

    @contextmanager
    def covered(self, loaded: LoadedObject) -> Iterator[None]:
        """Count what an object's programs run, where that can be."""
        try:
            coverage = cover(loaded)
        except NotSupportedError:
            self._not_counted.add(f"runs of {loaded.name!r} in engine {loaded.engine!r}")
            yield
            return
        try:
            yield
        finally:
            self._data.merge(coverage.stop())

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of xdist's has ended."""
        output = getattr(node, "workeroutput", {}).get(_OUTPUT)
        if output is not None:
            text, runs = output
            self._data.merge(from_json(text))
            self._not_counted.update(runs)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._worker is not None:
            self._worker[_OUTPUT] = to_json(self._data), sorted(self._not_counted)
            return
        for file in self._files:
            if file != "-":
                write(self._data, file)
        if self._lacks and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @property
    def _lacks(self) -> bool:
        there, taken = self._data.totals().branches
        return self._least is not None and 100 * taken < self._least * there

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        totals = self._data.totals()
        terminalreporter.section("coverage of BPF programs")
        if "-" in self._files:
            terminalreporter.write(report(self._data))
        lines, branches = percent(*totals.lines), percent(*totals.branches)
        terminalreporter.line(f"{lines} of lines, {branches} of branches")
        for runs in sorted(self._not_counted):
            terminalreporter.line(f"{runs} are not counted")
        if self._lacks:
            terminalreporter.line(
                f"FAIL: --bpf-cov-fail-under={self._least:g}: {branches}", red=True
            )
