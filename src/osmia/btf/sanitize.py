"""BTF for kernels that lack some of its kinds: other kinds of the same length take their place.

What replaces what is libbpf's choice (bpf_object__sanitize_btf), so that an older kernel
sees the same types from either. Ids and strings stay as they are.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection

from osmia.btf.additions import Additions
from osmia.btf.layout import KIND_FLAG, VLEN_MASK, struct_order
from osmia.btf.reader import BTF
from osmia.btf.types import DataSec, Kind

#: What a kernel may lack, by the names of `osmia.kernel.probes.ability_probes.ABILITIES`.
FUNC, GLOBAL_FUNC, DATASEC = "BTF func", "BTF global func", "BTF var, datasec"
FLOAT, DECL_TAG, TYPE_TAG = "BTF float", "BTF decl_tag", "BTF type_tag"
ENUM64, OPTIONAL_DATASEC = "BTF enum64", "BTF ?datasec"
KINDS = (FUNC, GLOBAL_FUNC, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64, OPTIONAL_DATASEC)

_BYTE = 8  # an integer's encoding, offset and bits: 8 bits, unsigned


def sanitized(btf: BTF, lacking: Collection[str]) -> BTF:
    """`btf` for a kernel that lacks these of `KINDS`; the same object when nothing changes."""
    writer = _Writer(btf)
    for missing, kind, change in _CHANGES:
        if missing in lacking and not (missing == GLOBAL_FUNC and FUNC in lacking):
            for type_id in btf.ids_of_kind(kind):
                change(writer, type_id)
    return writer.result()


class _Writer:
    """The bytes of a BTF while types in it change."""

    def __init__(self, btf: BTF) -> None:
        self.btf = btf
        self.order = struct_order(btf.byteorder)
        self.data = bytearray(btf.to_bytes())
        self.added = Additions(btf)
        self.placeholders: dict[int, int] = {}
        self.changed = False

    def result(self) -> BTF:
        """What came out."""
        if not self.changed:
            return self.btf
        data = self.added.append_to(self.data)
        return BTF(data, base=self.btf.base, name=self.btf.name)

    def words(self, type_id: int, count: int, start: int = 0) -> tuple[int, ...]:
        """Words of a type's record."""
        place = self.btf.record_offset(type_id) + 4 * start
        return struct.unpack_from(f"{self.order}{count}I", self.data, place)

    def write(self, type_id: int, start: int, *words: int) -> None:
        """Replace words of a type's record from word `start` on."""
        place = self.btf.record_offset(type_id) + 4 * start
        struct.pack_into(f"{self.order}{len(words)}I", self.data, place, *words)
        self.changed = True

    def become(self, type_id: int, kind: Kind, *, count: int = 0, named: bool = True) -> None:
        """Change the kind of a type."""
        name = self.words(type_id, 1)[0] if named else 0
        self.write(type_id, 0, name, int(kind) << 24 | count)

    def placeholder(self, size: int) -> int:
        """An integer that stands for an enumeration of `size` bytes."""
        if size not in self.placeholders:
            name = self.added.add_string("enum64_placeholder")
            words = (int(Kind.INT) << 24, size, 8 * size)
            self.placeholders[size] = self.added.add_type(name, *words)
        return self.placeholders[size]


def _to_byte(writer: _Writer, type_id: int) -> None:
    """A variable or tag: one byte is never larger than what was there."""
    name = writer.words(type_id, 1)[0]
    writer.write(type_id, 0, name, int(Kind.INT) << 24, 1, _BYTE)


def _section_to_struct(writer: _Writer, type_id: int) -> None:
    section = writer.btf.type(type_id)
    assert isinstance(section, DataSec)
    _plain_name(writer, type_id)
    writer.become(type_id, Kind.STRUCT, count=len(section.entries))
    for number, entry in enumerate(section.entries):
        (name,) = writer.words(entry.type_id, 1)
        writer.write(type_id, 3 + 3 * number, name, entry.type_id, 8 * entry.offset)


def _plain_name(writer: _Writer, type_id: int) -> None:
    """A section's name as an identifier, where it is stored."""
    _, strings = _strings(writer)
    offset = strings + writer.words(type_id, 1)[0]
    end = writer.data.index(b"\0", offset)
    name = writer.data[offset:end].replace(b".", b"_").replace(b"?", b"_")
    writer.data[offset:end] = name
    writer.changed = True


def _drop_question_mark(writer: _Writer, type_id: int) -> None:
    _, strings = _strings(writer)
    offset = strings + writer.words(type_id, 1)[0]
    if writer.data[offset : offset + 1] == b"?":
        writer.data[offset] = ord("_")
        writer.changed = True


def _strings(writer: _Writer) -> tuple[int, int]:
    """(the header's size, where the strings start)."""
    size, _, _, start = struct.unpack_from(f"{writer.order}4I", writer.data, 4)
    return size, size + start


def _prototype_to_enum(writer: _Writer, type_id: int) -> None:
    count = writer.words(type_id, 2)[1] & VLEN_MASK
    writer.become(type_id, Kind.ENUM, count=count)
    writer.write(type_id, 2, 4)


def _enum64_to_union(writer: _Writer, type_id: int) -> None:
    _, info, size = writer.words(type_id, 3)
    count = info & VLEN_MASK
    writer.become(type_id, Kind.UNION, count=count, named=False)
    for number in range(count):
        writer.write(type_id, 4 + 3 * number, writer.placeholder(size), 0)


def _unsigned_enum(writer: _Writer, type_id: int) -> None:
    (info,) = writer.words(type_id, 1, 1)
    if info & KIND_FLAG:
        writer.write(type_id, 1, info & ~KIND_FLAG)


#: (what is missing, the kind that it concerns, what to do), in the order to do it.
_CHANGES: tuple[tuple[str, Kind, Callable[[_Writer, int], None]], ...] = (
    (OPTIONAL_DATASEC, Kind.DATASEC, _drop_question_mark),
    (DATASEC, Kind.DATASEC, _section_to_struct),
    (DATASEC, Kind.VAR, _to_byte),
    (DECL_TAG, Kind.DECL_TAG, _to_byte),
    (FUNC, Kind.FUNC_PROTO, _prototype_to_enum),
    (FUNC, Kind.FUNC, lambda writer, i: writer.become(i, Kind.TYPEDEF)),
    (GLOBAL_FUNC, Kind.FUNC, lambda writer, i: writer.become(i, Kind.FUNC)),
    (FLOAT, Kind.FLOAT, lambda writer, i: writer.become(i, Kind.STRUCT, named=False)),
    (TYPE_TAG, Kind.TYPE_TAG, lambda writer, i: writer.become(i, Kind.CONST, named=False)),
    (ENUM64, Kind.ENUM, _unsigned_enum),
    (ENUM64, Kind.ENUM64, _enum64_to_union),
)
