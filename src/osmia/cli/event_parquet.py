"""Rows of events as Parquet, through pyarrow."""

from __future__ import annotations

from typing import IO, Any

from osmia.cli.event_columns import Column
from osmia.errors import MissingPackageError
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

#: What stays a number, in the host's byte order.
_NUMBERS = ("port", "be", "ktime", "plain")
#: Rows that are held until they are written.
_ROWS = 10_000


class ParquetRows:
    """Parquet through pyarrow: numbers of the sizes they have, text, bytes, lists; enumerators are
    text."""

    def __init__(self, columns: list[Column], file: IO[Any]) -> None:
        arrow = pyarrow()
        self._arrow = arrow
        self._file = file
        self._codecs = [each.codec for each in columns]
        fields = [arrow.field(each.name, _arrow_type(arrow, each.codec)) for each in columns]
        self._schema = arrow.schema(fields)
        self._writer = arrow.parquet.ParquetWriter(_Sink(file), self._schema)
        self._rows: list[list[Any]] = []

    def write(self, row: list[Any]) -> None:
        """Hold a row until there are enough for a group."""
        self._rows.append(row)
        if len(self._rows) >= _ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is held, and what makes the file whole; the file itself stays open."""
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


def pyarrow() -> Any:
    """The package, if it is there."""
    try:
        import pyarrow as package
        import pyarrow.parquet
    except ImportError as error:
        raise MissingPackageError("pyarrow", extra="parquet") from error
    return package


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
            return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        case ArrayCodec():
            return [_arrow_value(codec.element, each) for each in value]
        case StructCodec():
            return {each.name: _arrow_value(each.codec, value[each.name]) for each in codec.fields}
        case BytesCodec() | BoolCodec() | FloatCodec() | IntCodec():
            return value
    return hex(value)
