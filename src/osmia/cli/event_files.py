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
from osmia.errors import MissingPackageError
from osmia.records import dataclass
from osmia.values import (
    ArrayCodec,
    BoolCodec,
    BytesCodec,
    Codec,
    EnumCodec,
    FloatCodec,
    IntCodec,
    StringCodec,
    StructCodec,
)
from osmia.values.meant import MeantCodec

FORMATS = ("jsonl", "csv", "parquet")
#: What stays a number, in the host's byte order.
_NUMBERS = ("port", "be", "ktime", "plain")
#: Rows of Parquet that are held until they are written.
_ROWS = 10_000


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
        _pyarrow()
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
            binary = self._place.format == "parquet"
            file: IO[Any] = self._stdout.buffer if binary else self._stdout  # type: ignore[attr-defined]
            if self._place.path is not None:
                text = {} if binary else {"encoding": "utf-8", "errors": "backslashreplace"}
                newline = {} if binary else {"newline": ""}
                mode = "wb" if binary else "w"
                file = self._place.path.open(mode, **text, **newline)  # type: ignore[call-overload]
                self._file = file
            self._writer = _WRITERS[self._place.format](columns, file)
        return self._writer


class _Writer(Protocol):
    def __init__(self, columns: list[Column], file: IO[Any]) -> None: ...

    def write(self, row: list[Any]) -> None: ...

    def close(self) -> None: ...


class _Lines:
    """JSON lines: an object a line, structs nested; other maps' columns are left out."""

    def __init__(self, columns: list[Column], file: IO[Any]) -> None:
        self._paths = [each.path for each in columns]
        self._codecs = [each.codec for each in columns]
        self._file = file

    def write(self, row: list[Any]) -> None:
        told: dict[str, Any] = {}
        for path, codec, value in zip(self._paths, self._codecs, row, strict=True):
            if value is not None:
                place = told
                for part in path[:-1]:
                    place = place.setdefault(part, {})
                place[path[-1]] = typed(codec, value)
        text = json.dumps(told, separators=(",", ":"), allow_nan=False)
        self._file.write(f"{text}\n")
        self._file.flush()

    def close(self) -> None:
        self._file.flush()


class _Csv:
    """CSV (RFC 4180) with a heading: names for enumerators, hexadecimal bytes, arrays as JSON."""

    def __init__(self, columns: list[Column], file: IO[Any]) -> None:
        self._file = file
        self._writer = csv.writer(file, lineterminator="\n")
        self._codecs = [each.codec for each in columns]
        self._writer.writerow([each.name for each in columns])
        file.flush()

    def write(self, row: list[Any]) -> None:
        self._writer.writerow(
            [_cell(_told(codec, value)) for codec, value in zip(self._codecs, row, strict=True)]
        )
        self._file.flush()

    def close(self) -> None:
        self._file.flush()


class _Parquet:
    """Parquet through pyarrow: numbers of the sizes they have, text, bytes, lists; enumerators are
    text."""

    def __init__(self, columns: list[Column], file: IO[Any]) -> None:
        arrow = _pyarrow()
        self._arrow = arrow
        self._file = file
        self._codecs = [each.codec for each in columns]
        fields = [arrow.field(each.name, _arrow_type(arrow, each.codec)) for each in columns]
        self._schema = arrow.schema(fields)
        self._writer = arrow.parquet.ParquetWriter(_Sink(file), self._schema)
        self._rows: list[list[Any]] = []

    def write(self, row: list[Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= _ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        parts = zip(self._codecs, zip(*rows, strict=True), self._schema.types, strict=True)
        arrays = [
            self._arrow.array([_arrow_value(codec, value) for value in column], type=kind)
            for codec, column, kind in parts
        ]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))


class _Sink:
    """A file that is only written to, and may be a pipe: it counts where it is."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._written = 0

    def write(self, data: Any) -> int:
        self._written += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.flush()

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


_WRITERS: dict[str, type[_Writer]] = {"jsonl": _Lines, "csv": _Csv, "parquet": _Parquet}


def _told(codec: Codec, value: Any) -> Any:
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


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingPackageError("pyarrow", extra="parquet") from error
    return pyarrow


def _arrow_type(arrow: Any, codec: Codec) -> Any:
    match codec:
        case MeantCodec() if codec.kind in _NUMBERS:
            return _arrow_type(arrow, codec.inner)
        case MeantCodec() | EnumCodec() | StringCodec():
            return arrow.string()
        case BytesCodec():
            return arrow.binary()
        case BoolCodec():
            return arrow.bool_()
        case FloatCodec():
            return {2: arrow.float16(), 4: arrow.float32()}.get(codec.size, arrow.float64())
        case IntCodec():
            return getattr(arrow, f"{'' if codec.signed else 'u'}int{8 * codec.size}")()
        case ArrayCodec():
            return arrow.list_(_arrow_type(arrow, codec.element))
        case StructCodec():
            fields = [(each.name, _arrow_type(arrow, each.codec)) for each in codec.fields]
            return arrow.struct(fields)
    return arrow.string()  # __int128, in hexadecimal


def _arrow_value(codec: Codec, value: Any) -> Any:
    match codec:
        case _ if value is None:
            return None
        case MeantCodec():
            return codec.json(value)
        case EnumCodec() | StringCodec():
            return _cell(str(value))
        case ArrayCodec():
            return [_arrow_value(codec.element, each) for each in value]
        case StructCodec():
            return {each.name: _arrow_value(each.codec, value[each.name]) for each in codec.fields}
        case BytesCodec() | BoolCodec() | FloatCodec() | IntCodec():
            return value
    return hex(value)
