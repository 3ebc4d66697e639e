"""Coverage written to a file, in the format that its name says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from osmia.coverage.model import CoverageData
from osmia.files import write_whole


def _lcov(data: CoverageData) -> str:
    from osmia.coverage.lcov import lcov

    return lcov(data)


def _cobertura(data: CoverageData) -> str:
    from osmia.coverage.cobertura import cobertura

    return cobertura(data)


def _page(data: CoverageData) -> str:
    from osmia.coverage.page import page

    return page(data)


def _json(data: CoverageData) -> str:
    from osmia.coverage.kept import to_json

    return to_json(data)


def _text(data: CoverageData) -> str:
    from osmia.coverage.text import report

    return report(data)


FORMATS: dict[str, Callable[[CoverageData], str]] = {
    "lcov": _lcov,
    "cobertura": _cobertura,
    "html": _page,
    "json": _json,
    "text": _text,
}
_SUFFIXES = {
    ".info": "lcov",
    ".lcov": "lcov",
    ".xml": "cobertura",
    ".html": "html",
    ".json": "json",
    ".txt": "text",
}
PYTHON = "coverage.py"


def format_of(path: str | os.PathLike[str]) -> str:
    """The format that a file's name says. Raises ValueError for a name that says none."""
    name = Path(path).name
    if name == ".coverage" or name.startswith(".coverage."):
        return PYTHON
    found = _SUFFIXES.get(Path(path).suffix.lower())
    if found is None:
        known = ", ".join(_SUFFIXES)
        raise ValueError(f"{name!r} does not say a format: a name ends in {known}, or is .coverage")
    return found


def write(
    data: CoverageData,
    path: str | os.PathLike[str],
    format: str | None = None,  # noqa: A002
) -> None:
    """Write coverage to a file, whole or not at all.

    `format` is "lcov", "cobertura", "html", "json" (which `osmia.coverage.kept.read_coverage`
    reads), "text" or "coverage.py" (added to what the file has); None: by the name, .info, .lcov,
    .xml, .html, .json, .txt or `.coverage`. Raises ValueError for others, OSError,
    MissingPackageError.
    """
    chosen = format_of(path) if format is None else format
    if chosen == PYTHON:
        from osmia.coverage.python import add_to_data

        add_to_data(data, path)
        return
    if chosen not in FORMATS:
        raise ValueError(f"format={chosen!r}: one of {', '.join((*FORMATS, PYTHON))}")
    write_whole(Path(path), FORMATS[chosen](data).encode(), durable=False)
