"""`BTFBuilder`: BTF made or edited type by type."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence

from osmia.arguments import names_wrong_arguments
from osmia.btf.encode import encode_type
from osmia.btf.layout import ByteOrder, assemble
from osmia.btf.reader import BTF
from osmia.btf.types import (
    Array,
    Const,
    DataSec,
    DeclTag,
    Enum,
    Enum64,
    EnumValue,
    Float,
    Func,
    FuncLinkage,
    FuncProto,
    Fwd,
    Int,
    IntEncoding,
    Member,
    Parameter,
    Ptr,
    Restrict,
    SectionVariable,
    Struct,
    Type,
    Typedef,
    TypeTag,
    Union,
    Var,
    VarLinkage,
    Volatile,
)
from osmia.errors import ObjectFormatError

#: New ids of another BTF's types; 0 stays 0 without being asked for.
IdMapping = Mapping[int, int] | Callable[[int], int]

#: Name, type id, offset in bits and, for a bitfield, its size in bits.
MemberLike = Member | tuple[str, int, int] | tuple[str, int, int, int]


class BTFBuilder:
    """Collects types and strings; `build` makes them a `BTF`.

    Every `add_…` returns the new type's id; ids count on from those of `base`. A type
    may refer to an id that is added later. Values that BTF cannot hold raise ValueError.

        builder = BTFBuilder()
        u32 = builder.add_int("unsigned int", 4)
        builder.add_struct("point", 8, [("x", u32, 0), ("y", u32, 32)])
        btf = builder.build()
    """

    @names_wrong_arguments
    def __init__(self, base: BTF | None = None, byteorder: ByteOrder = "little") -> None:
        if base is not None and base.byteorder != byteorder:
            raise ValueError(f"the base's byte order is {base.byteorder}, not {byteorder}")
        self._base = base
        self._byteorder = byteorder
        self._first_id = len(base) if base is not None else 1
        self._first_string = base.string_size if base is not None else 0
        self._records: list[Sequence[int]] = []
        self._strings = bytearray() if base is not None else bytearray(b"\0")
        self._offsets: dict[str, int] = {"": 0}

    @classmethod
    @names_wrong_arguments
    def edit(cls, btf: BTF) -> BTFBuilder:
        """A builder that starts with all of `btf`'s own types under their ids, and its strings.

        Without further changes it makes the same bytes, if `btf` stores each string once.
        """
        builder = cls(btf.base, btf.byteorder)
        builder._start_with(btf.string_bytes())
        for type_id in range(btf.first_id, len(btf)):
            builder.add_from(btf, type_id)
        return builder

    def _start_with(self, strings: bytes) -> None:
        offset = self._first_string
        for encoded in strings.split(b"\0")[:-1]:
            self._offsets.setdefault(encoded.decode("utf-8", "surrogateescape"), offset)
            offset += len(encoded) + 1
        self._strings = bytearray(strings)

    def __len__(self) -> int:
        """The number of types, `void` and those of the base included; also the next id."""
        return self._first_id + len(self._records)

    def __bool__(self) -> bool:
        """True, also when there are no types."""
        return True

    def add_string(self, text: str) -> int:
        """The offset of `text` among the strings; each is stored once."""
        offset = self._offsets.get(text)
        if offset is None:
            offset = self._offsets[text] = self._store(text)
        return offset

    def _store(self, text: str) -> int:
        if "\0" in text:
            raise ValueError(f"{text!r} contains NUL")
        known = self._base.string_offset(text) if self._base is not None else None
        if known is not None:
            return known
        offset = self._first_string + len(self._strings)
        self._strings += text.encode("utf-8", "surrogateescape") + b"\0"
        return offset

    def add(self, found: Type, mapping: IdMapping | None = None) -> int:
        """Add a type; its own `id` does not count.

        The ids that it refers to are taken as they are, or as `mapping` gives them.
        """
        self._records.append(self._encode(found, mapping))
        return len(self) - 1

    def add_from(self, btf: BTF, type_id: int, mapping: IdMapping | None = None) -> int:
        """As `add` for a type of a BTF that was read: ObjectFormatError for one that only a
        hostile writer puts there, since it cannot be written."""
        found = btf.type(type_id)
        try:
            return self.add(found, mapping)
        except ValueError as error:
            raise ObjectFormatError(f"type {type_id}: {error}", file=btf.name) from None

    def extend(self, other: BTF) -> list[int]:
        """Add all types of `other`, which has the same base or none; their new ids by their old.

        Nothing is merged; see `deduplicate`.
        """
        if other.base is not None and other.base is not self._base:
            raise ValueError("the other BTF has another base")
        shift = len(self) - other.first_id
        own = range(other.first_id, len(other))
        ids = [*range(other.first_id), *(type_id + shift for type_id in own)]
        for type_id in own:
            self.add_from(other, type_id, ids.__getitem__)
        return ids

    def replace(self, type_id: int, found: Type, mapping: IdMapping | None = None) -> None:
        """Put another type in the place of one that was added before."""
        row = type_id - self._first_id
        if not 0 <= row < len(self._records):
            raise ValueError(f"type {type_id} was not added here")
        self._records[row] = self._encode(found, mapping)

    def _encode(self, found: Type, mapping: IdMapping | None) -> Sequence[int]:
        if mapping is None:
            return encode_type(found, self.add_string, _same)
        if callable(mapping):
            return encode_type(found, self.add_string, mapping)

        def look_up(type_id: int) -> int:
            if type_id and type_id not in mapping:
                raise ValueError(f"the mapping has no type {type_id}")
            return mapping[type_id] if type_id else 0

        return encode_type(found, self.add_string, look_up)

    def add_int(
        self,
        name: str,
        size: int,
        encoding: int = 0,
        *,
        bits: int | None = None,
        offset: int = 0,
    ) -> int:
        """An integer of `size` bytes, all bits of it if `bits` is not given; see `IntEncoding`."""
        bits = 8 * size if bits is None else bits
        return self.add(Int(0, name, size, IntEncoding(encoding), bits, offset))

    def add_float(self, name: str, size: int) -> int:
        """A floating-point number of `size` bytes."""
        return self.add(Float(0, name, size))

    def add_ptr(self, target: int) -> int:
        """A pointer; 0 gives `void *`."""
        return self.add(Ptr(0, "", target))

    def add_array(self, element: int, index_type: int, count: int) -> int:
        """An array of `count` elements; `index_type` is an integer's id."""
        return self.add(Array(0, "", element, index_type, count))

    def add_struct(self, name: str, size: int, members: Iterable[MemberLike] = ()) -> int:
        """A struct of `size` bytes; members are (name, type id, offset in bits[, bits])."""
        found = tuple(Member(*member) for member in members)
        return self.add(Struct(0, name, size, found, _have_bitfields(found)))

    def add_union(self, name: str, size: int, members: Iterable[MemberLike] = ()) -> int:
        """A union of `size` bytes; members are (name, type id, 0[, bits])."""
        found = tuple(Member(*member) for member in members)
        return self.add(Union(0, name, size, found, _have_bitfields(found)))

    def add_enum(
        self, name: str, values: Iterable[tuple[str, int]], *, size: int = 4, signed: bool = False
    ) -> int:
        """An enumeration with 32-bit values; without values, a forward declaration."""
        return self.add(Enum(0, name, size, signed, tuple(EnumValue(*value) for value in values)))

    def add_enum64(
        self, name: str, values: Iterable[tuple[str, int]], *, size: int = 8, signed: bool = False
    ) -> int:
        """An enumeration with 64-bit values."""
        return self.add(Enum64(0, name, size, signed, tuple(EnumValue(*value) for value in values)))

    def add_fwd(self, name: str, *, is_union: bool = False) -> int:
        """A struct or union that is defined elsewhere."""
        return self.add(Fwd(0, name, is_union))

    def add_typedef(self, name: str, target: int) -> int:
        """Another name of `target`."""
        return self.add(Typedef(0, name, target))

    def add_const(self, target: int) -> int:
        """`target`, const."""
        return self.add(Const(0, "", target))

    def add_volatile(self, target: int) -> int:
        """`target`, volatile."""
        return self.add(Volatile(0, "", target))

    def add_restrict(self, target: int) -> int:
        """`target`, restrict."""
        return self.add(Restrict(0, "", target))

    def add_type_tag(self, name: str, target: int, *, attribute: bool = False) -> int:
        """A tag on `target`."""
        return self.add(TypeTag(0, name, target, attribute))

    def add_func(self, name: str, prototype: int, linkage: int = FuncLinkage.GLOBAL) -> int:
        """A function with the type `prototype`."""
        return self.add(Func(0, name, prototype, linkage))

    def add_func_proto(self, return_type: int, parameters: Iterable[tuple[str, int]] = ()) -> int:
        """A function's type; parameters are (name, type id), ("", 0) at the end for `...`."""
        found = tuple(Parameter(*parameter) for parameter in parameters)
        return self.add(FuncProto(0, "", return_type, found))

    def add_var(self, name: str, type_id: int, linkage: int = VarLinkage.GLOBAL_ALLOCATED) -> int:
        """A global variable."""
        return self.add(Var(0, name, type_id, linkage))

    def add_datasec(self, name: str, size: int, entries: Iterable[tuple[int, int, int]]) -> int:
        """A data section of `size` bytes; entries are (variable's id, offset, size) in bytes."""
        return self.add(DataSec(0, name, size, tuple(SectionVariable(*e) for e in entries)))

    def add_decl_tag(
        self, name: str, type_id: int, component: int = -1, *, attribute: bool = False
    ) -> int:
        """A tag on a declaration, or on its member or parameter number `component`."""
        return self.add(DeclTag(0, name, type_id, component, attribute))

    def to_bytes(self) -> bytes:
        """The BTF, with header."""
        words = array("I")
        for record in self._records:
            words.extend(record)
        return assemble(words, self._strings, self._byteorder)

    def build(self, name: str = "") -> BTF:
        """The BTF; the builder may go on and build again."""
        return BTF(self.to_bytes(), base=self._base, name=name)


def _same(type_id: int) -> int:
    return type_id


def _have_bitfields(members: Iterable[Member]) -> bool:
    return any(member.bitfield_size for member in members)
