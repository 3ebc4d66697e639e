"""`osmia run --cover FILE`: what of the programs the packets reached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from osmia.cli.output import note


def check_cover(path: Path | None, engine: str, *, on_packets: bool) -> None:
    """Raise UsageError where nothing could be counted, or the file's name says no format."""
    if path is None:
        return
    from osmia.coverage.writing import format_of

    if not on_packets or engine != "vm":
        raise click.UsageError("--cover is for packets in this process: --engine vm and --packet")
    try:
        format_of(path)
    except ValueError as error:
        raise click.UsageError(f"--cover: {error}") from None


@contextmanager
def covered(loaded: Any, path: Path | None) -> Iterator[None]:
    """Count what runs, and write it in the end, however that comes."""
    if path is None:
        yield
        return
    from osmia.coverage.collecting import cover
    from osmia.coverage.text import percent

    coverage = cover(loaded)
    try:
        yield
    finally:
        data = coverage.stop()
        coverage.write(path)
        totals = data.totals()
        lines, branches = percent(*totals.lines), percent(*totals.branches)
        note(f"{path}: {lines} of lines, {branches} of branches")
