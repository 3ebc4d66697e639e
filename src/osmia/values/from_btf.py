"""From BTF to codecs: `codec(btf, type_id)`.

Types come from files that may lie: nesting is bounded, a struct cannot hold itself, no
member reaches past the end, and the values in one decoded value are bounded by its size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from osmia import btf as types
from osmia.arguments import names_wrong_arguments
from osmia.btf import BTF
from osmia.errors import ObjectFormatError
from osmia.values.arrays import ArrayCodec, BytesCodec, StringCodec
from osmia.values.base import ByteOrder, Codec
from osmia.values.enums import EnumCodec
from osmia.values.fields import Bits, Field
from osmia.values.scalars import (
    MAX_INTEGER_SIZE,
    NETWORK_TYPES,
    BoolCodec,
    FloatCodec,
    IntCodec,
    PointerCodec,
    int_codec,
)
from osmia.values.structs import StructCodec
from osmia.values.type_names import type_name

#: Structs and arrays in each other; the kernel's verifier stops at 32 too.
MAX_DEPTH = 32

#: Members to look at for one codec, those of nested structs included. Anonymous structs that
#: hold each other twice could otherwise multiply without end.
MAX_MEMBERS = 1 << 18

#: Values in one decoded value: for each byte (bitfields, overlapping members), and at all.
_WEIGHT_PER_BYTE, _LEAST_WEIGHT = 64, 1 << 16

_QUALIFIERS = (types.Const, types.Volatile, types.Restrict, types.TypeTag)
_SCALAR_SIZES = (1, 2, 4, 8)

# No codec refers to its BTF: the cache lives as long as that and no longer.
_codecs: WeakKeyDictionary[BTF, dict[int, Codec]] = WeakKeyDictionary()


@names_wrong_arguments
def codec(btf: BTF, type_id: int) -> Codec:
    """The codec of a type: typedefs and qualifiers are skipped, a variable is its type.

    A data section is a struct of its variables. Codecs are made once for each BTF and
    id. Raises ObjectFormatError for types without values (void, functions, forward
    declarations) and for BTF that is inconsistent.
    """
    known = _codecs.get(btf)
    if known is None:
        known = _codecs[btf] = {}
    return known.get(type_id) or _Build(btf, known).build(type_id)


def plain_codec(size: int, byteorder: ByteOrder = "little") -> Codec:
    """The codec of `size` bytes without a type: unsigned for 1, 2, 4 and 8, else `bytes`."""
    if size in _SCALAR_SIZES:
        return IntCodec(size, False, f"u{8 * size}", byteorder)
    return BytesCodec(size, f"u8[{size}]", byteorder)


class _Build:
    """One call of `codec`: the types it is in the middle of."""

    def __init__(self, btf: BTF, codecs: dict[int, Codec]) -> None:
        self.btf = btf
        self.codecs = codecs
        self.open: set[int] = set()
        self.members_left = MAX_MEMBERS

    def build(self, type_id: int) -> Codec:
        """The codec of a type, from the cache or new."""
        known = self.codecs.get(type_id)
        if known is None:
            known = self.codecs[type_id] = self._build(type_id)
        return known

    def _build(self, type_id: int) -> Codec:
        if type_id in self.open:
            raise self._error(f"{type_name(self.btf, type_id)} contains itself")
        if len(self.open) >= MAX_DEPTH:
            raise self._error(f"{type_name(self.btf, type_id)} is nested too deeply")
        self.open.add(type_id)
        try:
            made = self._make(type_id)
        finally:
            self.open.discard(type_id)
        if made.weight > _WEIGHT_PER_BYTE * made.size + _LEAST_WEIGHT:
            raise self._error(f"{made.type_name} has too many members for its size")
        return made

    def _make(self, type_id: int) -> Codec:
        btf, order = self.btf, self.btf.byteorder
        match btf.type(btf.resolve(type_id)):
            case types.Var() as variable:
                return self.build(variable.type_id)
            case types.Ptr():
                return PointerCodec(btf.pointer_size, type_name(btf, type_id), order)
            case types.Int() as integer:
                return self._integer(type_id, integer)
            case types.Enum() | types.Enum64() as enum:
                return self._enum(type_id, enum)
            case types.Float() as number:
                return self._float(type_id, number)
            case types.Array() as array:
                return self._array(type_id, array)
            case types.Struct() | types.Union() as composite:
                return self._composite(type_id, composite)
            case types.DataSec() as section:
                return self._section(section)
            case _:
                raise self._error(f"{type_name(btf, type_id)} has no values")

    def _integer(self, type_id: int, integer: types.Int) -> Codec:
        name, order = type_name(self.btf, type_id), self.btf.byteorder
        if integer.is_bool and integer.size == 1:
            return BoolCodec(name, order)
        if not 1 <= integer.size <= MAX_INTEGER_SIZE:
            raise self._error(f"{name} has {integer.size} bytes")
        made = int_codec(integer.size, integer.signed, name, order)
        if isinstance(made, IntCodec) and self._in_network_order(type_id):
            made.network = True
        return made

    def _in_network_order(self, type_id: int) -> bool:
        """Whether a typedef on the way to an integer, which ends, is __be32 or one of its like."""
        while self.btf.kind_of(type_id) in types.MODIFIERS:
            step: Any = self.btf.type(type_id)
            if step.name in NETWORK_TYPES:
                return True
            type_id = step.target
        return False

    def _enum(self, type_id: int, enum: types.Enum | types.Enum64) -> Codec:
        name = type_name(self.btf, type_id)
        if enum.size not in _SCALAR_SIZES:
            raise self._error(f"{name} has {enum.size} bytes")
        return EnumCodec(enum.values, enum.size, enum.signed, name, self.btf.byteorder)

    def _float(self, type_id: int, number: types.Float) -> Codec:
        name, order = type_name(self.btf, type_id), self.btf.byteorder
        if number.size in (2, 4, 8):
            return FloatCodec(number.size, name, order)
        # long double and its like: Python has no such number.
        return BytesCodec(number.size, name, order)

    def _array(self, type_id: int, array: types.Array) -> Codec:
        btf = self.btf
        name, order = type_name(btf, type_id), btf.byteorder
        # Raises for what is beyond 4 GiB.
        btf.size_of(type_id)
        element = btf.type(btf.resolve(array.element))
        if isinstance(element, types.Int) and element.size == 1 and not element.is_bool:
            # Compilers mark no characters: `char` is told from the other bytes by its name.
            kind = StringCodec if element.is_char or element.name == "char" else BytesCodec
            made = kind(array.count, name, order)
            made.signed = element.signed
            if isinstance(made, StringCodec):
                made.by_name = btf.kind_of(self._unqualified(array.element)) is types.Kind.TYPEDEF
            return made
        return ArrayCodec(_without_tail(self.build(array.element)), array.count, name, order)

    def _unqualified(self, type_id: int) -> int:
        """The type without const and its like; BTF that goes in circles is refused before."""
        while isinstance(found := self.btf.type(type_id), _QUALIFIERS):
            type_id = found.target
        return type_id

    def _composite(self, type_id: int, composite: types.Struct | types.Union) -> Codec:
        name = type_name(self.btf, type_id)
        fields = [
            self._field(name, composite, member, position)
            for member, position in self._flattened(composite)
        ]
        self._refuse_duplicates(name, fields)
        return StructCodec(_with_tails(fields), composite.size, name, self.btf.byteorder)

    def _flattened(
        self, composite: types.Struct | types.Union, base: int = 0, depth: int = 0
    ) -> Iterator[tuple[types.Member, int]]:
        """Named members with their position in bits, those of anonymous members included."""
        if depth > MAX_DEPTH:
            raise self._error("anonymous structs are nested too deeply")
        for member in composite.members:
            self.members_left -= 1
            if self.members_left < 0:
                raise self._error(f"a type has more than {MAX_MEMBERS} members in all")
            position = base + member.bit_offset
            if member.name:
                yield member, position
                continue
            inner = self.btf.type(self.btf.resolve(member.type_id))
            if isinstance(inner, types.Struct | types.Union):
                yield from self._flattened(inner, position, depth + 1)

    def _field(
        self,
        owner: str,
        composite: types.Struct | types.Union,
        member: types.Member,
        position: int,
    ) -> Field:
        inner = _without_tail(self.build(member.type_id))
        if bits := self._bits(owner, inner, member, position):
            if bits.offset + bits.size > composite.size:
                raise self._error(f"{owner}.{member.name} lies outside the struct")
            return Field(member.name, inner, bits.offset, bits)
        offset, odd = divmod(position, 8)
        if odd or offset + inner.size > composite.size:
            raise self._error(f"{owner}.{member.name} lies outside the struct")
        return Field(member.name, inner, offset)

    def _bits(self, owner: str, inner: Codec, member: types.Member, position: int) -> Bits | None:
        """Where a bitfield lies; None for a member that fills its type and starts at a byte."""
        declared = self.btf.type(self.btf.resolve(member.type_id))
        width = member.bitfield_size
        if not width and isinstance(declared, types.Int):
            # Before the kind flag (5.0) the integer's own type said which bits it has.
            width, position = declared.bits, position + declared.offset
        if not width or (width == 8 * inner.size and position % 8 == 0):
            return None
        if not isinstance(declared, types.Int | types.Enum | types.Enum64):
            raise self._error(f"{owner}.{member.name} cannot be a bitfield")
        if width > 8 * inner.size:
            raise self._error(f"{owner}.{member.name} has more bits than its type")
        return Bits.at(position, width, declared.signed, self.btf.byteorder)

    def _section(self, section: types.DataSec) -> Codec:
        fields = []
        for entry in section.entries:
            variable = self.btf.type(entry.type_id)
            if not isinstance(variable, types.Var):
                continue
            inner = _without_tail(self.build(variable.type_id))
            if entry.offset + inner.size > section.size:
                raise self._error(f"{variable.name} lies outside the section {section.name}")
            fields.append(Field(variable.name, inner, entry.offset))
        self._refuse_duplicates(section.name, fields)
        return StructCodec(fields, section.size, section.name, self.btf.byteorder)

    def _refuse_duplicates(self, owner: str, fields: list[Field]) -> None:
        seen: set[str] = set()
        for field in fields:
            if field.name in seen:
                raise self._error(f"{owner} has two members named {field.name!r}")
            seen.add(field.name)

    def _error(self, message: str) -> ObjectFormatError:
        return ObjectFormatError(message, file=self.btf.name or None)


def _without_tail(inner: Codec) -> Any:
    """What is inside something else ends where its type says."""
    return inner.fixed if isinstance(inner, StructCodec) else inner


def _with_tails(fields: list[Field]) -> list[Field]:
    """The fields, with the last arrays of unknown length marked.

    Arrays of length 0 look the same; in front of other members they are only marks.
    """
    end = max((field.span[1] for field in fields), default=0)
    return [
        field._replace(flexible=True)
        if field.offset >= end
        and not field.codec.size
        and isinstance(field.codec, ArrayCodec | BytesCodec)
        and field.codec.element_size
        else field
        for field in fields
    ]
