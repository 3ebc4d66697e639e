"""Typed values as people read them: `saddr=0a000001 ports=[80, 443]`; tables of structs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from osmia.cli.output import Output, hex_bytes, shortened
from osmia.values import ArrayCodec, BytesCodec, Codec, StructCodec
from osmia.values.fields import Field
from osmia.values.meant import MeantCodec

#: A struct of no more fields gets a column for each of them.
_MOST_COLUMNS = 10


def typed_text(codec: Codec | None, value: Any) -> str:
    """A value in a line. `codec` is None for bytes that mean nothing that is known."""
    match codec:
        case MeantCodec(kind="plain"):
            return typed_text(codec.inner, value)
        case MeantCodec() if not isinstance(value, bytes) or len(value) == codec.size:
            return codec.initialiser(value)
        case None:
            return hex_bytes(value) if isinstance(value, bytes) else str(value)
        case StructCodec() if not isinstance(value, bytes):
            return " ".join(
                f"{field.name}={_field_text(field, value[field.name])}" for field in codec.fields
            )
        case ArrayCodec() if not isinstance(value, bytes):
            return f"[{', '.join(inner_text(codec.element, each) for each in value)}]"
        case BytesCodec() if isinstance(value, bytes):
            return value.hex()
    return hex_bytes(value) if isinstance(value, bytes) else codec.initialiser(value)


def print_entries(
    output: Output,
    key_codec: Codec | None,
    value_codec: Codec | None,
    entries: Iterable[tuple[Any, Any]],
    *,
    per_cpu: bool = False,
    widest: int | None = None,
) -> None:
    """A table of map entries; small structs have a column for each field.

    Values of per-CPU maps are lists: each CPU's gets a row, None is left out. Cells are cut to
    `widest` columns.
    """
    columns = [
        *headings(key_codec, "key"),
        *(["cpu"] if per_cpu else []),
        *headings(value_codec, "value"),
    ]
    rows: list[list[object]] = []
    for key, value in entries:
        cells = _cells(key_codec, key)
        if not per_cpu:
            rows.append([*cells, *_cells(value_codec, value)])
            continue
        for cpu, part in enumerate(value):
            if part is not None:
                rows.append([*cells, cpu, *_cells(value_codec, part)])
                cells = [""] * len(cells)
    if widest is not None:
        rows = [[shortened(str(cell), widest) for cell in row] for row in rows]
    output.table(columns, rows)


def _field_text(field: Field, value: Any) -> str:
    """A member: by its name where the number has one (`sig=SIGKILL`)."""
    from osmia.summaries.names import name_of

    return name_of(field.name, field.codec, value) or inner_text(field.codec, value)


def inner_text(codec: Codec, value: Any) -> str:
    """A value within another one: structs are in braces."""
    text = typed_text(codec, value)
    return f"{{{text}}}" if isinstance(codec, StructCodec) else text


def has_columns(codec: Codec | None) -> bool:
    """Whether each member of the type gets a column: it is a small struct."""
    return isinstance(codec, StructCodec) and 0 < len(codec.fields) <= _MOST_COLUMNS


def headings(codec: Codec | None, role: str) -> list[str]:
    """The columns for values of a type: its members, or the `role` of the whole."""
    if isinstance(codec, StructCodec) and has_columns(codec):
        return [field.name for field in codec.fields]
    return [role]


def _cells(codec: Codec | None, value: Any) -> list[str]:
    if isinstance(codec, StructCodec) and has_columns(codec):
        return [_field_text(field, value[field.name]) for field in codec.fields]
    return [typed_text(codec, value)]
