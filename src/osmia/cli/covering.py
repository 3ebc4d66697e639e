"""`osmia run --cover FILE`: what of the programs ran, on packets or attached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from osmia.cli.output import note


def with_counters(path: Path | None) -> dict[str, Any]:
    """The options of a load whose runs are to be counted. Raises UsageError where the file's name
    says no format."""
    if path is None:
        return {}
    from osmia.coverage.writing import format_of

    try:
        format_of(path)
    except ValueError as error:
        raise click.UsageError(f"--cover: {error}") from None
    return {"cover": True}


@contextmanager
def covered(loaded: Any, path: Path | None) -> Iterator[None]:
    """Count what runs, and write it in the end, however that comes; an error before anything ran
    leaves a file from before as it is."""
    if path is None:
        yield
        return
    from osmia.coverage.collecting import cover
    from osmia.coverage.text import percent

    coverage, failed = cover(loaded), True
    try:
        yield
        failed = False
    finally:
        data = coverage.stop()
        if not failed or any(each.entered for each in data.functions.values()):
            coverage.write(path)
            totals = data.totals()
            lines, branches = percent(*totals.lines), percent(*totals.branches)
            note(f"{path}: {lines} of lines, {branches} of branches")
