"""The tables of `osmia fleet status` and `osmia fleet top`, and what happens in a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from osmia.cli.live import Page
from osmia.cli.output import note, printable
from osmia.errors import OsmiaError

if TYPE_CHECKING:
    import pyarrow

    from osmia.fleet import Fleet, Running

#: Columns of the status by what rows call them.
_STATUS = {
    "host": "host",
    "object": "object",
    "digest": "digest",
    "generation": "generation",
    "trial": "trial",
    "targets": "targets",
    "runs": "runs",
    "runs_per_second": "runs/s",
    "ns_per_run": "ns/run",
    "error": "error",
}
_OPTIONAL = ("digest", "generation", "ns/run", "runs")


class StatusPages:
    """What runs where: a page each time it is called."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._before: dict[tuple[str, str], tuple[float, int, int]] = {}
        self._told = False

    def __call__(self) -> Page:
        answers = self._fleet.status()
        if not answers and not answers.errors and not self._told:
            self._told = True
            note("the cluster has no hosts: none of its workers is there as an agent")
        now = time.monotonic()
        rows: list[dict[str, Any]] = [
            {"host": host, "object": name, **self._figures((host, name), found, now)}
            for host, objects in answers.items()
            for name, found in (objects or {"": {}}).items()
        ]
        rows += [{"host": host, "error": str(error)} for host, error in answers.errors.items()]
        seldom = ("trial", "runs_per_second", "ns_per_run")
        empty = [each for each in seldom if not any(row.get(each) is not None for row in rows)]
        names = [each for each in _STATUS if each not in empty]
        columns = [_STATUS[each] for each in names]
        return Page(
            rows,
            columns,
            [[_text(row.get(each)) for each in names] for row in rows],
            optional=[each for each in _OPTIONAL if each in columns],
            wrong=any(row.get("error") for row in rows),
        )

    def _figures(self, which: tuple[str, str], found: dict[str, Any], now: float) -> dict[str, Any]:
        programs = found.get("programs", {})
        runs = sum(int(each.get("run_cnt", 0)) for each in programs.values())
        taken = sum(int(each.get("run_time_ns", 0)) for each in programs.values())
        known = self._before.get(which)
        if known is None or known[1] > runs:  # what runs there was loaded anew
            known = (now, runs, taken) if known is not None else (now, 0, 0)
        since, runs_before, taken_before = known
        self._before[which] = now, runs, taken
        more, seconds = runs - runs_before, now - since
        return {
            "digest": found.get("digest"),
            "generation": found.get("generation"),
            "trial": _trial(found),
            "targets": found.get("targets"),
            "runs": runs,
            "runs_per_second": round(more / seconds) if seconds > 0 else None,
            "ns_per_run": round((taken - taken_before) / more) if more and taken else None,
            "programs": programs,
            "error": found.get("error"),
        }


def _trial(found: dict[str, Any]) -> str | None:
    """Whether a host has what not all are meant to have: an upgrade on trial, or as a canary."""
    if found.get("canary"):
        return "canary"
    return "yes" if found.get("trial_since") is not None else None


def _text(value: object) -> object:
    if isinstance(value, dict):
        return printable(", ".join(f"{key}: {' '.join(each)}" for key, each in value.items()))
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    return value if isinstance(value, int) else "" if value is None else printable(str(value))


class TopPages:
    """The rows of a map on all hosts with the largest numbers in a column."""

    def __init__(
        self, running: Running, map_name: str, column: str, count: int, groups: tuple[str, ...]
    ) -> None:
        if map_name not in running.maps:
            has = ", ".join(running.maps)
            raise OsmiaError(f"{running.name!r} has no map {map_name!r}: {has}")
        self._map = running.maps[map_name]
        self._column, self._count, self._groups = column, count, groups
        self._before: dict[tuple[Any, ...], Any] = {}
        self._since: float | None = None

    def __call__(self) -> Page:
        table = self._table()
        now = time.monotonic()
        rows = table.to_pylist()
        keys = [each for each in table.column_names if not each.startswith("value")]
        names = [tuple(str(row[each]) for each in keys) for row in rows]
        columns = list(table.column_names)
        if self._since is not None and keys:
            for name, row in zip(names, rows, strict=True):
                more = row[self._column] - self._before.get(name, row[self._column])
                row[f"{self._column}/s"] = round(more / (now - self._since))
            columns.append(f"{self._column}/s")
        self._before = {name: row[self._column] for name, row in zip(names, rows, strict=True)}
        self._since = now
        cells = [[_cell(row[each]) for each in columns] for row in rows]
        return Page(rows, columns, cells)

    def _table(self) -> pyarrow.Table:
        if not self._groups:
            return self._map.top(self._count, self._column)
        table = self._map.sum(self._column, by=self._groups)
        return table.sort_by([(self._column, "descending")]).slice(0, self._count)


def _cell(value: object) -> object:
    return value if type(value) is int else printable(str(value))
