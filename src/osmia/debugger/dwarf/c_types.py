"""C types as a debugger needs them: a name, a size, members, what a pointer points to.

Types of DWARF are made into BTF, so that `osmia.values` reads their values; each as far as its
values go, what is behind a pointer when somebody follows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from osmia import btf as types
from osmia.btf import BTF, IntEncoding
from osmia.btf.builder import BTFBuilder
from osmia.btf.layout import ByteOrder
from osmia.debugger.dwarf.entries import DebugEntries
from osmia.errors import ObjectFormatError, OsmiaError
from osmia.named_tuples import NamedTuple
from osmia.values import Codec, codec, plain_codec
from osmia.values.type_names import type_name

MOST_TYPES = 1 << 14
MOST_DEPTH = 32

_BOOLEAN, _FLOAT, _SIGNED, _SIGNED_CHAR = 2, 4, 5, 6
_QUALIFIERS = {
    "DW_TAG_const_type": BTFBuilder.add_const,
    "DW_TAG_volatile_type": BTFBuilder.add_volatile,
    "DW_TAG_restrict_type": BTFBuilder.add_restrict,
}
_TRANSPARENT = ("DW_TAG_atomic_type", "DW_TAG_immutable_type")


class MemberPlace(NamedTuple):
    """A member of a struct or an element of an array: where it is in the value, in bits."""

    name: str
    type: CType
    bit_offset: int
    bits: int = 0  # of a bitfield


class CType:
    """A type of some BTF. `source` is where what its pointers point to can be looked up."""

    __slots__ = ("_incomplete", "_source", "btf", "id")

    def __init__(
        self,
        btf: BTF,
        type_id: int,
        source: DwarfTypes | None = None,
        incomplete: Mapping[int, Any] | None = None,
    ) -> None:
        self.btf = btf
        self.id = type_id
        self._source = source
        self._incomplete = incomplete or {}

    def __repr__(self) -> str:
        return f"<CType {self.name}>"

    @property
    def name(self) -> str:
        """The name in C's words: "struct flow *"."""
        return type_name(self.btf, self.id)

    @property
    def plain(self) -> types.Type:
        """The type without typedefs and qualifiers."""
        return self.btf.type(self.btf.resolve(self.id))

    @property
    def size(self) -> int:
        """In bytes; 0 for what has no values."""
        try:
            return self.btf.size_of(self.id)
        except (OsmiaError, ValueError):
            return 0

    @property
    def codec(self) -> Codec:
        """How values are read and written; as plain bytes where the type is of no other use."""
        try:
            return codec(self.btf, self.id)
        except ObjectFormatError:
            return plain_codec(self.size, self.btf.byteorder)

    @property
    def is_pointer(self) -> bool:
        return isinstance(self.plain, types.Ptr)

    @property
    def is_array(self) -> bool:
        return isinstance(self.plain, types.Array)

    @property
    def is_composite(self) -> bool:
        """Whether it is a struct, a union or an array."""
        return isinstance(self.plain, types.Struct | types.Union | types.Array)

    def target(self) -> CType | None:
        """What a pointer points to; None for `void *`, functions and what nobody tells."""
        pointer = self.plain
        if not isinstance(pointer, types.Ptr):
            return None
        target = pointer.target
        # Qualifiers of what is only named here, too.
        plain = self.btf.type(self.btf.resolve(target))
        if plain.id in self._incomplete and self._source is not None:
            return self._source.type(self._incomplete[plain.id])
        if isinstance(plain, types.Void | types.Fwd | types.FuncProto):
            return None
        return CType(self.btf, target, self._source, self._incomplete)

    def members(self) -> Iterator[MemberPlace]:
        """The members of a struct or union, those of anonymous ones as its own; the elements
        of an array."""
        match self.plain:
            case types.Struct() | types.Union() as composite:
                yield from self._fields(composite, 0, 0)
            case types.Array() as array:
                element = self._other(array.element)
                for index in range(array.count):
                    yield MemberPlace(f"[{index}]", element, 8 * index * element.size)

    @property
    def count(self) -> int:
        """How many elements an array has; 0 for what is none."""
        array = self.plain
        return array.count if isinstance(array, types.Array) else 0

    def element(self, index: int) -> MemberPlace:
        """An element of an array."""
        array = self.plain
        assert isinstance(array, types.Array)
        element = self._other(array.element)
        return MemberPlace(f"[{index}]", element, 8 * index * element.size)

    def _other(self, type_id: int) -> CType:
        return CType(self.btf, type_id, self._source, self._incomplete)

    def _fields(
        self, composite: types.Struct | types.Union, base: int, depth: int
    ) -> Iterator[MemberPlace]:
        if depth > MOST_DEPTH:
            raise ObjectFormatError(f"{self.name} is nested too deeply")
        for member in composite.members:
            inner = self.btf.type(self.btf.resolve(member.type_id))
            if not member.name and isinstance(inner, types.Struct | types.Union):
                yield from self._fields(inner, base + member.bit_offset, depth + 1)
            elif member.name:
                place = base + member.bit_offset
                yield MemberPlace(
                    member.name, self._other(member.type_id), place, member.bitfield_size
                )


class DwarfTypes:
    """The types of one file's debug information, made into BTF when they are asked for."""

    def __init__(self, dwarf: DebugEntries) -> None:
        self._dwarf = dwarf
        self._known: dict[int, CType] = {}

    def type(self, entry: Any) -> CType:
        """The type that an entry of `.debug_info` is; None stands for void."""
        offset = entry.offset if entry is not None else -1
        known = self._known.get(offset)
        if known is None:
            with self._dwarf.damage():
                known = self._known[offset] = _Build(self, self._dwarf).build(entry)
        return known

    def of(self, entry: Any) -> CType:
        """The type that a variable or member has."""
        with self._dwarf.damage():
            return self.type(self._dwarf.referred(entry, "type"))

    def named(self, tag: str, name: str) -> CType | None:
        """The type of a name that a file defines: `tag` is DW_TAG_…; None where it does not."""
        dwarf = self._dwarf
        with dwarf.damage():
            for unit in dwarf.info.iter_CUs():
                for entry in dwarf.children(unit.get_top_DIE()):
                    wanted = entry.tag == f"DW_TAG_{tag}" and dwarf.text(entry) == name
                    if wanted and not dwarf.attribute(entry, "declaration"):
                        return self.type(entry)
        return None

    def base_type(self, entry: Any) -> tuple[int, bool]:
        """Size in bytes and sign of a base type's entry."""
        size = self._dwarf.attribute(entry, "byte_size", 0)
        if not isinstance(size, int) or not 1 <= size <= 8:
            raise ObjectFormatError(f"a base type of {size!r:.20} bytes in an expression")
        return size, self._dwarf.attribute(entry, "encoding") in (_SIGNED, _SIGNED_CHAR)


class _Build:
    """One type with all that its values consist of, as BTF."""

    def __init__(self, source: DwarfTypes, dwarf: DebugEntries) -> None:
        self.source = source
        self.dwarf = dwarf
        self.builder = BTFBuilder(byteorder=cast("ByteOrder", dwarf.byteorder))
        self.made: dict[int, int] = {}
        self.named: dict[int, int] = {}  # what pointers only name
        self.incomplete: dict[int, Any] = {}
        self.open: set[int] = set()

    def build(self, entry: Any) -> CType:
        found = self._add(entry)
        built = self.builder.build(self.dwarf.name)
        return CType(built, found, self.source, self.incomplete)

    def _add(self, entry: Any) -> int:
        """The id of a type that values consist of."""
        if entry is None:
            return 0
        known = self.made.get(entry.offset)
        if known is not None:
            return known
        if entry.offset in self.open or len(self.open) >= MOST_DEPTH:
            raise self._error("has itself, or more in it than can be")
        if len(self.made) >= MOST_TYPES:
            raise self._error(f"has more than {MOST_TYPES} types in it")
        self.open.add(entry.offset)
        try:
            found = self.made[entry.offset] = self._make(entry)
        finally:
            self.open.discard(entry.offset)
        return found

    def _make(self, entry: Any) -> int:
        builder, name = self.builder, self._name(entry)
        match entry.tag:
            case "DW_TAG_base_type":
                return self._base(entry, name)
            case "DW_TAG_pointer_type":
                return builder.add_ptr(self._named(self.dwarf.referred(entry, "type")))
            case "DW_TAG_structure_type" | "DW_TAG_class_type":
                return builder.add_struct(name, self._size(entry), self._members(entry))
            case "DW_TAG_union_type":
                return builder.add_union(name, self._size(entry), self._members(entry))
            case "DW_TAG_enumeration_type":
                return self._enumeration(entry, name)
            case "DW_TAG_array_type":
                return self._array(entry)
            case "DW_TAG_typedef":
                return builder.add_typedef(name or "typedef", self._inner(entry))
            case tag if tag in _QUALIFIERS:
                return _QUALIFIERS[tag](builder, self._inner(entry))
            case tag if tag in _TRANSPARENT:
                return self._inner(entry)
            case "DW_TAG_subroutine_type":
                return builder.add_func_proto(0)
            case _:
                return 0

    def _named(self, entry: Any, depth: int = 0) -> int:
        """The id of what a pointer points to: structs by their names alone."""
        if entry is None:
            return 0
        if depth > MOST_DEPTH:
            raise self._error("is a chain of pointers without end")
        known = self.named.get(entry.offset)
        if known is not None:
            return known
        builder, name = self.builder, self._name(entry)
        inner = self.dwarf.referred(entry, "type")
        match entry.tag:
            case "DW_TAG_structure_type" | "DW_TAG_union_type" | "DW_TAG_class_type":
                found = builder.add_fwd(name, is_union=entry.tag == "DW_TAG_union_type")
                if not self.dwarf.attribute(entry, "declaration"):
                    self.incomplete[found] = entry
            case "DW_TAG_pointer_type":
                found = builder.add_ptr(self._named(inner, depth + 1))
            case "DW_TAG_typedef":
                found = builder.add_typedef(name or "typedef", self._named(inner, depth + 1))
            case tag if tag in _QUALIFIERS:
                found = _QUALIFIERS[tag](builder, self._named(inner, depth + 1))
            case "DW_TAG_array_type":
                found = builder.add_fwd("")
                self.incomplete[found] = entry
            case _:
                found = self._add(entry)
        self.named[entry.offset] = found
        return found

    def _inner(self, entry: Any) -> int:
        return self._add(self.dwarf.referred(entry, "type"))

    def _base(self, entry: Any, name: str) -> int:
        size, encoding = self._size(entry), self.dwarf.attribute(entry, "encoding")
        if encoding == _FLOAT:
            return self.builder.add_float(name, size)
        signed = encoding in (_SIGNED, _SIGNED_CHAR)
        flags = IntEncoding.BOOL if encoding == _BOOLEAN else IntEncoding.SIGNED * signed
        if size > 16:
            raise self._error(f"has an integer of {size} bytes")
        return self.builder.add_int(name, size, flags)

    def _members(self, entry: Any) -> list[tuple[str, int, int, int]]:
        found = []
        for child in self.dwarf.children(entry):
            if child.tag != "DW_TAG_member":
                continue
            bits = self.dwarf.attribute(child, "bit_size", 0)
            found.append((self._name(child), self._inner(child), self._offset(child, bits), bits))
        return found

    def _offset(self, member: Any, bits: int) -> int:
        """A member's offset in bits."""
        attribute = self.dwarf.attribute
        place = attribute(member, "data_bit_offset")
        if place is not None:
            return int(place)
        start = attribute(member, "data_member_location", 0)
        if not isinstance(start, int):
            raise self._error("has a member whose place is an expression")
        from_top = attribute(member, "bit_offset")
        if from_top is None:
            return 8 * start
        # DWARF 2 and 3 count from the highest bit of what the bitfield is declared as.
        unit = attribute(member, "byte_size") or self.source.of(member).size
        if self.dwarf.byteorder == "big":
            return 8 * start + int(from_top)
        return 8 * start + 8 * int(unit) - int(from_top) - bits

    def _enumeration(self, entry: Any, name: str) -> int:
        size = self._size(entry)
        values = [
            (self._name(each), self.dwarf.attribute(each, "const_value", 0))
            for each in self.dwarf.children(entry)
            if each.tag == "DW_TAG_enumerator"
        ]
        base = self.dwarf.referred(entry, "type")
        signed = base is not None and self.dwarf.attribute(base, "encoding") in (
            _SIGNED,
            _SIGNED_CHAR,
        )
        if size > 4:
            return self.builder.add_enum64(name, values, size=size, signed=signed)
        mask = 0xFFFF_FFFF
        small = [(each, value if signed else value & mask) for each, value in values]
        return self.builder.add_enum(name, small, size=size, signed=signed)

    def _array(self, entry: Any) -> int:
        element = self._inner(entry)
        counts = [
            self._count(each)
            for each in self.dwarf.children(entry)
            if each.tag == "DW_TAG_subrange_type"
        ]
        index = self.made.get(-1)
        if index is None:
            index = self.made[-1] = self.builder.add_int("unsigned int", 4)
        for count in reversed(counts or [0]):
            element = self.builder.add_array(element, index, count)
        return element

    def _count(self, entry: Any) -> int:
        count = self.dwarf.attribute(entry, "count")
        if not isinstance(count, int):
            bound = self.dwarf.attribute(entry, "upper_bound")
            count = bound + 1 if isinstance(bound, int) else 0
        return min(max(count, 0), 0xFFFF_FFFF)

    def _size(self, entry: Any) -> int:
        size = self.dwarf.attribute(entry, "byte_size", 0)
        return size if isinstance(size, int) and 0 <= size <= 0xFFFF_FFFF else 0

    def _name(self, entry: Any) -> str:
        return self.dwarf.text(entry).replace("\0", "")

    def _error(self, problem: str) -> ObjectFormatError:
        return ObjectFormatError(f"a type {problem}", file=self.dwarf.name or None)
