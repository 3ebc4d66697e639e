"""Costs as plain text: functions, the lines that take most, what is called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath

from osmia.costs.model import Costs

SHOWN = 20
"""Lines and calls in a report."""


def report(costs: Costs, shown: int | None = SHOWN) -> str:
    """The report; None shows all lines and calls."""
    return "\n".join(_report(costs, shown)) + "\n"


def _report(costs: Costs, shown: int | None) -> Iterator[str]:
    how = "estimated" if costs.measured_ns is None else "measured"
    yield f"{costs.instructions} instructions, {costs.ns:.0f} ns {how}"
    whole = costs.ns or 1.0
    yield ""
    yield from _table(
        ("function", "entered", "instructions", "ns", "share"),
        [
            (e.name, str(e.entered), str(e.instructions), f"{e.ns:.0f}", f"{e.ns / whole:.1%}")
            for e in costs.functions
        ],
    )
    if costs.lines:
        yield ""
        yield from _table(
            ("line", "instructions", "ns", "share", "source"),
            [
                (
                    f"{PurePath(e.file).name}:{e.line}",
                    str(e.instructions),
                    f"{e.ns:.0f}",
                    f"{e.ns / whole:.1%}",
                    e.text.strip(),
                )
                for e in costs.lines[:shown]
            ],
        )
    if costs.calls:
        yield ""
        yield from _table(
            ("called", "map", "calls", "ns", "share"),
            [
                (e.name, e.map, str(e.calls), f"{e.ns:.0f}", f"{e.ns / whole:.1%}")
                for e in costs.calls[:shown]
            ],
        )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Words to the left, numbers to the right."""
    listed = [head, *rows]
    widths = [max(len(row[column]) for row in listed) for column in range(len(head))]
    right = {"entered", "instructions", "ns", "share", "calls"}
    for row in listed:
        cells = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(head, row, widths, strict=True)
        ]
        yield "  ".join(cells).rstrip()
