"""`osmia run --output`: events as JSON lines, CSV or Parquet, to a file or to stdout."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Protocol

import click

from osmia.cli.event_columns import Column, EventColumns
from osmia.cli.json_values import plain, typed
from osmia.cli.output import note
from osmia.records import dataclass
from osmia.values import Codec, IntCodec
from osmia.values.meant import MeantCodec

FORMATS = ("jsonl", "csv", "parquet")


@dataclass(frozen=True)
class Place:
    """A format, and a file; None: stdout."""

    format: str
    path: Path | None = None


def place_of(text: str) -> Place:
    """What --output says: a format for stdout, or a file whose name ends with one. UsageError
    where that cannot be written."""
    path = None if text in FORMATS else Path(text)
    kind = text if path is None else path.suffix.removeprefix(".")
    if kind not in FORMATS:
        raise click.UsageError(
            f"--output {text}: give {', '.join(FORMATS)} for stdout, or a file that ends so"
        )
    if kind == "parquet":
        from osmia.cli.event_parquet import pyarrow

        pyarrow()
    if path is None:
        if kind == "parquet" and sys.stdout.isatty():
            raise click.UsageError("--output parquet: not to a terminal; give a file, or a pipe")
    elif path.is_dir() or not path.parent.is_dir():
        raise click.UsageError(f"--output {text}: there is no such directory, or it is one")
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        raise click.UsageError(f"--output {text}: that may not be written")
    return Place(kind, path)


class EventFile:
    """Events written as they come, from the first on; `finish` makes the file whole, also one
    without events. Where neither was called no file is made, or changed.

    `codecs` are the types by map (None: not known), `per_cpu` the maps whose events have a CPU.
    """

    def __init__(
        self, place: Place, stdout: IO[str], codecs: Mapping[str, Codec | None], per_cpu: set[str]
    ) -> None:
        self._place, self._stdout = place, stdout
        self._columns = EventColumns(codecs, per_cpu)
        self._left_out = 0
        self._writer: _Writer | None = None
        self._file: IO[Any] | None = None

    def take(self, name: str, event: Any) -> None:
        """Write an event of a map; a perf buffer's has the CPU before it."""
        row = self._columns.row(name, event)
        if row is None:
            self._left_out += 1
            return
        self._opened().write(row)

    def finish(self) -> None:
        """Write what is left, and say what was left out."""
        self._opened().close()
        if self._file is not None:
            self._file.close()
        if self._left_out:
            note(f"left out: {self._left_out} of another size than the type's")

    def _opened(self) -> _Writer:
        if self._writer is None:
            columns = self._columns.columns
            if self._place.format == "parquet":
                from osmia.cli.event_parquet import ParquetRows

                self._writer = ParquetRows(columns, self._binary())
            else:
                kind = _Lines if self._place.format == "jsonl" else _Csv
                self._writer = kind(columns, self._text())
        return self._writer

    def _text(self) -> IO[str]:
        if self._place.path is None:
            return self._stdout
        self._file = self._place.path.open(
            "w", encoding="utf-8", errors="backslashreplace", newline=""
        )
        return self._file

    def _binary(self) -> IO[bytes]:
        if self._place.path is None:
            stdout: IO[bytes] = self._stdout.buffer  # type: ignore[attr-defined]
            return stdout
        self._file = self._place.path.open("wb")
        return self._file


class _Writer(Protocol):
    def write(self, row: list[Any]) -> None: ...

    def close(self) -> None: ...


class _Lines:
    """JSON lines: an object a line, structs nested; other maps' columns are left out."""

    def __init__(self, columns: list[Column], file: IO[Any]) -> None:
        self._columns = [(each.path, each.codec, _is_json(each.codec)) for each in columns]
        self._encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
        self._file = file

    def write(self, row: list[Any]) -> None:
        told: dict[str, Any] = {}
        for (path, codec, is_json), value in zip(self._columns, row, strict=True):
            if value is not None:
                place = told
                for part in path[:-1]:
                    place = place.setdefault(part, {})
                place[path[-1]] = value if is_json else typed(codec, value)
        self._file.write(f"{self._encode(told)}\n")
        self._file.flush()

    def close(self) -> None:
        self._file.flush()


class _Csv:
    """CSV (RFC 4180) with a heading: names for enumerators, hexadecimal bytes, arrays as JSON."""

    def __init__(self, columns: list[Column], file: IO[Any]) -> None:
        self._file = file
        self._writer = csv.writer(file, lineterminator="\n")
        self._codecs = [None if _is_json(each.codec) else each.codec for each in columns]
        self._writer.writerow([each.name for each in columns])
        file.flush()

    def write(self, row: list[Any]) -> None:
        self._writer.writerow(
            [
                value if codec is None else _cell(told(codec, value))
                for codec, value in zip(self._codecs, row, strict=True)
            ]
        )
        self._file.flush()

    def close(self) -> None:
        self._file.flush()


def _is_json(codec: Codec) -> bool:
    """Whether values are just numbers, which need nothing done."""
    return type(codec) is IntCodec


def told(codec: Codec, value: Any) -> Any:
    """A value in the notation of what it means: an address as text, a port as the number."""
    return codec.json(value) if isinstance(codec, MeantCodec) and value is not None else value


def _cell(value: Any) -> Any:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case bytes():
            return value.hex()
        case str():
            return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        case list() | tuple():
            return json.dumps(plain(value), separators=(",", ":"), allow_nan=False)
    return str(value)
