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


def _text(data: CoverageData) -> str:
    from osmia.coverage.text import report

    return report(data)


FORMATS: dict[str, Callable[[CoverageData], str]] = {
    "lcov": _lcov,
    "cobertura": _cobertura,
    "text": _text,
}
_SUFFIXES = {".info": "lcov", ".lcov": "lcov", ".xml": "cobertura", ".txt": "text"}


def format_of(path: str | os.PathLike[str]) -> str:
    """The format that a file's name says. Raises ValueError for a name that says none."""
    name = Path(path).name
    found = _SUFFIXES.get(Path(path).suffix.lower())
    if found is None:
        known = ", ".join(_SUFFIXES)
        raise ValueError(f"{name!r} does not say a format: a name ends in {known}")
    return found


def write(
    data: CoverageData,
    path: str | os.PathLike[str],
    format: str | None = None,  # noqa: A002
) -> None:
    """Write coverage to a file, whole or not at all. `format` is "lcov", "cobertura" or
    "text"; None: by the name's end, .info, .lcov, .xml or .txt. Raises ValueError for others,
    OSError."""
    chosen = format_of(path) if format is None else format
    if chosen not in FORMATS:
        raise ValueError(f"format={chosen!r}: one of {', '.join(FORMATS)}")
    write_whole(Path(path), FORMATS[chosen](data).encode(), durable=False)
