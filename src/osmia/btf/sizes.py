"""How large types are and how they are aligned, on the target."""

from __future__ import annotations

from typing import Protocol

from osmia.btf.layout import kind_in
from osmia.btf.types import (
    COMPOSITES,
    ENUMS,
    MODIFIERS,
    Array,
    Const,
    Enum,
    Enum64,
    Float,
    Int,
    Kind,
    Ptr,
    Restrict,
    Struct,
    Type,
    Typedef,
    TypeTag,
    Union,
    Var,
    Volatile,
)
from osmia.errors import ObjectFormatError

#: No type is larger: BTF's sizes are 32-bit, and so are libbpf's checks.
MAX_SIZE = (1 << 32) - 1

#: Typedefs, qualifiers, arrays and nested structs on the way to one type's size.
MAX_DEPTH = 64

#: Kinds whose record says a size, and those whose size is that of the type that it names.
_SIZED = COMPOSITES | ENUMS | {Kind.INT, Kind.FLOAT, Kind.DATASEC}
_REFERRING = MODIFIERS | {Kind.VAR}

LONG_NAMES = ("long unsigned int", "long int", "unsigned long", "long")


class Types(Protocol):
    """The types that sizes are asked of: a `BTF`."""

    @property
    def name(self) -> str:
        """Where they came from, for errors."""

    @property
    def pointer_size(self) -> int:
        """The size of the target's pointers in bytes."""

    def type(self, type_id: int) -> Type:
        """The type with this id."""

    def head(self, type_id: int) -> tuple[int, int, int]:
        """The first three words of the type's record: name, `info`, size or type."""

    def words(self, type_id: int) -> list[int]:
        """All words of the type's record."""

    def find(self, name: str, *kinds: Kind) -> int:
        """The lowest id of a type with this name and of one of these kinds; 0 when none is."""


def pointer_size(btf: Types) -> int:
    """The size of `long`, which is a pointer's on all of Linux; 8, BPF's own, without one."""
    for name in LONG_NAMES:
        found = btf.type(btf.find(name, Kind.INT))
        if isinstance(found, Int) and found.size in (4, 8):
            return found.size
    return 8


def size_of(btf: Types, type_id: int) -> int:
    """The size in bytes; see `BTF.size_of`."""
    count, current = 1, type_id
    for _ in range(MAX_DEPTH):
        _, info, word = btf.head(current)
        kind = kind_in(info)
        if kind in _SIZED:
            return _checked(btf, type_id, count * word)
        if kind in _REFERRING:
            current = word
        elif kind == Kind.PTR:
            return _checked(btf, type_id, count * btf.pointer_size)
        elif kind == Kind.ARRAY:
            _, _, _, current, _, elements = btf.words(current)
            # A zero must not hide what the elements are, only make the whole empty.
            count = _checked(btf, type_id, count * elements)
        else:
            found = btf.type(current)
            what = f"{found.kind.name} {found.name}".strip()
            raise ObjectFormatError(f"type {type_id} has no size: {what}", file=btf.name)
    raise ObjectFormatError(f"type {type_id} is nested too deeply", file=btf.name)


def _checked(btf: Types, type_id: int, size: int) -> int:
    if size > MAX_SIZE:
        raise ObjectFormatError(f"type {type_id} is larger than 4 GiB", file=btf.name)
    return size


def layout_of(
    btf: Types, type_id: int, known: dict[int, tuple[int, int]], depth: int = 0
) -> tuple[int, int]:
    """(size, alignment) in bytes; `known` remembers, so that each type is looked at once."""
    layout = known.get(type_id)
    if layout is None:
        if depth > MAX_DEPTH:
            raise ObjectFormatError(f"type {type_id} is nested too deeply", file=btf.name)
        layout = known[type_id] = _layout(btf, type_id, known, depth + 1)
    return layout


def _layout(
    btf: Types, type_id: int, known: dict[int, tuple[int, int]], depth: int
) -> tuple[int, int]:
    match btf.type(type_id):
        case Ptr():
            return btf.pointer_size, btf.pointer_size
        case Struct() | Union() as composite:
            return composite.size, _composite_alignment(btf, composite, known, depth)
        case Typedef() | Volatile() | Const() | Restrict() | TypeTag() as modifier:
            return layout_of(btf, modifier.target, known, depth)
        case Int(size=16):
            return 16, 16  # __int128, on all 64-bit targets
        case Int() | Enum() | Enum64() | Float() as scalar:
            return scalar.size, max(1, min(btf.pointer_size, scalar.size))
        case Array() as array:
            size, alignment = layout_of(btf, array.element, known, depth)
            return _checked(btf, type_id, size * array.count), alignment
        case Var() as variable:
            return layout_of(btf, variable.type_id, known, depth)
        case other:
            what = f"{other.kind.name} {other.name}".strip()
            raise ObjectFormatError(f"type {type_id} has no alignment: {what}", file=btf.name)


def _composite_alignment(
    btf: Types, composite: Struct | Union, known: dict[int, tuple[int, int]], depth: int
) -> int:
    alignment = 1
    packed = False
    for member in composite.members:
        size, wanted = layout_of(btf, member.type_id, known, depth)
        if wanted > alignment:
            alignment = wanted
        # What lies where no compiler puts it unasked shows that the whole was packed.
        if member.bitfield_size:
            packed |= member.bit_offset % (8 * wanted) + member.bitfield_size > 8 * size
        else:
            packed |= member.bit_offset % (8 * wanted) != 0
    return 1 if packed or composite.size % alignment else alignment
