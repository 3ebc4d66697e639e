"""Structs as numpy sees them: structured types, and single fields of whole arrays.

Fields keep their names and offsets; members of anonymous structs and unions stand beside
the others and may overlap. A flexible array, and what has no size, is left out.

numpy has no bitfields. What stands for them is their *storage unit*, the integer that C
reads to get at them: unsigned, of the declared type's size, at the multiple of that size
that holds the bitfield, and named `bits_OFFSET_uBITS` ("bits_12_u32" for bits of an
`unsigned int` at byte 12). Bitfields in the same unit share it. One that crosses such
a unit (in a packed struct) is in a `bits_OFFSET_bytesCOUNT`, an array of bytes. A name
that a field has already gets underscores behind it. `column` returns the values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from osmia.numpy_extra import numpy as np
from osmia.values.fields import Bits, Field
from osmia.values.names import unknown_name
from osmia.values.scalars import BoolCodec

Array: TypeAlias = "np.ndarray[Any, Any]"

_UNIT_SIZES = (1, 2, 4, 8)


class Structured(Protocol):
    """A struct's type: a `StructCodec`, as far as columns are concerned."""

    type_name: str
    size: int

    @property
    def fields(self) -> Sequence[Field]:
        """The members, in order."""

    @property
    def by_name(self) -> Mapping[str, Field]:
        """The members by name."""


class _Unit:
    """Where the bits of a field are stored: `size` bytes from `offset` on."""

    def __init__(self, field: Field, bits: Bits, struct_size: int) -> None:
        size = field.codec.size
        start = bits.offset // size * size
        whole = size in _UNIT_SIZES and start + size <= struct_size
        self.integer = whole and bits.offset + bits.size <= start + size
        self.offset, self.size = (start, size) if self.integer else (bits.offset, bits.size)
        kind = f"u{8 * self.size}" if self.integer else f"bytes{self.size}"
        self.name = f"bits_{self.offset}_{kind}"
        self.format = f"{field.codec.order}u{size}" if self.integer else ("u1", (bits.size,))

    def shift(self, bits: Bits, byteorder: str) -> int:
        """How far above the unit's lowest bit the bitfield starts."""
        if byteorder == "little":
            return bits.shift + 8 * (bits.offset - self.offset)
        return bits.shift + 8 * (self.offset + self.size - bits.offset - bits.size)


def _units(codec: Structured) -> dict[str, _Unit]:
    """Bitfield name → storage unit."""
    units = {}
    for field in codec.fields:
        if field.bits is not None:
            unit = _Unit(field, field.bits, codec.size)
            while unit.name in codec.by_name:
                unit.name += "_"
            units[field.name] = unit
    return units


def struct_dtype(codec: Structured) -> np.dtype[Any]:
    """The structured type of a struct's bytes; see the module's description."""
    units = _units(codec)
    columns: dict[str, tuple[Any, int]] = {}
    for field in codec.fields:
        if unit := units.get(field.name):
            columns[unit.name] = unit.format, unit.offset
        elif field.codec.size:
            columns[field.name] = field.codec.dtype(), field.offset
    description: Any = {
        "names": list(columns),
        "formats": [form for form, _ in columns.values()],
        "offsets": [offset for _, offset in columns.values()],
        "itemsize": codec.size,
    }
    made: np.dtype[Any] = np.dtype(description)
    return made


def column(codec: Structured, array: Array, name: str) -> Array:
    """One field of an array of `codec.dtype()`: a view, or for a bitfield its values."""
    field = codec.by_name.get(name)
    if field is None or field.span[0] == field.span[1]:
        raise KeyError(unknown_name(codec.type_name, name, codec.by_name))
    if field.bits is None:
        view: Array = array[name]
        return view
    unit = _units(codec)[name]
    if unit.integer:
        values = _extract(field, field.bits, unit, array[unit.name])
    else:
        values = _extract_slowly(field, field.bits, array[unit.name])
    return values.astype(np.bool_) if isinstance(field.codec, BoolCodec) else values


def _extract(field: Field, bits: Bits, unit: _Unit, words: Array) -> Array:
    kind: Any = np.dtype(f"u{unit.size}").type
    native: Array = words.astype(kind)
    shift = unit.shift(bits, field.codec.byteorder)
    if not bits.signed:
        masked: Array = (native >> kind(shift)) & kind(bits.mask)
        return masked
    # Up to the sign bit, then down again: an arithmetic shift extends the sign.
    top = 8 * unit.size
    signed: Array = (native << kind(top - shift - bits.width)).view(f"i{unit.size}")
    lowest: Array = signed >> np.dtype(f"i{unit.size}").type(top - bits.width)
    return lowest


def _extract_slowly(field: Field, bits: Bits, rows: Array) -> Array:
    order = field.codec.byteorder
    flat = rows.reshape(-1, bits.size)
    values = [bits.extract(int.from_bytes(row.tobytes(), order)) for row in flat]
    size = field.codec.size
    kind: Any = f"{'i' if bits.signed else 'u'}{size}" if size in _UNIT_SIZES else object
    return np.array(values, dtype=kind).reshape(rows.shape[:-1])
