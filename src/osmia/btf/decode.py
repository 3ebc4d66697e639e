"""From a type's words to its class: one small function per kind."""

from __future__ import annotations

from collections.abc import Callable

from osmia.btf.layout import KIND_FLAG, KIND_MASK, KIND_SHIFT, VLEN_MASK
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
    FuncProto,
    Fwd,
    Int,
    IntEncoding,
    Kind,
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
    Volatile,
)

Strings = Callable[[int], str]
"""From a string's offset to the string."""

_Decoder = Callable[[Strings, int, list[int]], Type]


def decode_type(string: Strings, type_id: int, record: list[int]) -> Type:
    """The type whose whole record is `record` (words in the host's order), its names and those
    of its parts taken from `string`."""
    return _DECODERS[record[1] >> KIND_SHIFT & KIND_MASK](string, type_id, record)


def signed32(word: int) -> int:
    """A word read as two's complement."""
    return word - (1 << 32) if word & 0x8000_0000 else word


def _int(string: Strings, type_id: int, record: list[int]) -> Type:
    data = record[3]
    encoding = IntEncoding(data >> 24 & 0xF)
    return Int(type_id, string(record[0]), record[2], encoding, data & 0xFF, data >> 16 & 0xFF)


def _ptr(string: Strings, type_id: int, record: list[int]) -> Type:
    return Ptr(type_id, string(record[0]), record[2])


def _array(string: Strings, type_id: int, record: list[int]) -> Type:
    return Array(type_id, string(record[0]), record[3], record[4], record[5])


def _members(string: Strings, record: list[int]) -> tuple[Member, ...]:
    columns = zip(record[3::3], record[4::3], record[5::3], strict=True)
    if record[1] & KIND_FLAG:
        return tuple(
            Member(string(name), type_id, offset & 0xFF_FFFF, offset >> 24)
            for name, type_id, offset in columns
        )
    return tuple(Member(string(name), type_id, offset) for name, type_id, offset in columns)


def _struct(string: Strings, type_id: int, record: list[int]) -> Type:
    members = _members(string, record)
    return Struct(type_id, string(record[0]), record[2], members, bool(record[1] & KIND_FLAG))


def _union(string: Strings, type_id: int, record: list[int]) -> Type:
    members = _members(string, record)
    return Union(type_id, string(record[0]), record[2], members, bool(record[1] & KIND_FLAG))


def _enum(string: Strings, type_id: int, record: list[int]) -> Type:
    signed = bool(record[1] & KIND_FLAG)
    values = tuple(
        EnumValue(string(name), signed32(word) if signed else word)
        for name, word in zip(record[3::2], record[4::2], strict=True)
    )
    return Enum(type_id, string(record[0]), record[2], signed, values)


def _enum64(string: Strings, type_id: int, record: list[int]) -> Type:
    signed = bool(record[1] & KIND_FLAG)
    values = tuple(
        EnumValue(string(name), low | (signed32(high) if signed else high) << 32)
        for name, low, high in zip(record[3::3], record[4::3], record[5::3], strict=True)
    )
    return Enum64(type_id, string(record[0]), record[2], signed, values)


def _fwd(string: Strings, type_id: int, record: list[int]) -> Type:
    return Fwd(type_id, string(record[0]), bool(record[1] & KIND_FLAG))


def _typedef(string: Strings, type_id: int, record: list[int]) -> Type:
    return Typedef(type_id, string(record[0]), record[2])


def _volatile(string: Strings, type_id: int, record: list[int]) -> Type:
    return Volatile(type_id, string(record[0]), record[2])


def _const(string: Strings, type_id: int, record: list[int]) -> Type:
    return Const(type_id, string(record[0]), record[2])


def _restrict(string: Strings, type_id: int, record: list[int]) -> Type:
    return Restrict(type_id, string(record[0]), record[2])


def _func(string: Strings, type_id: int, record: list[int]) -> Type:
    return Func(type_id, string(record[0]), record[2], record[1] & VLEN_MASK)


def _func_proto(string: Strings, type_id: int, record: list[int]) -> Type:
    parameters = tuple(
        Parameter(string(name), parameter)
        for name, parameter in zip(record[3::2], record[4::2], strict=True)
    )
    return FuncProto(type_id, string(record[0]), record[2], parameters)


def _var(string: Strings, type_id: int, record: list[int]) -> Type:
    return Var(type_id, string(record[0]), record[2], record[3])


def _datasec(string: Strings, type_id: int, record: list[int]) -> Type:
    columns = zip(record[3::3], record[4::3], record[5::3], strict=True)
    entries = tuple(SectionVariable(*entry) for entry in columns)
    return DataSec(type_id, string(record[0]), record[2], entries)


def _float(string: Strings, type_id: int, record: list[int]) -> Type:
    return Float(type_id, string(record[0]), record[2])


def _decl_tag(string: Strings, type_id: int, record: list[int]) -> Type:
    attribute = bool(record[1] & KIND_FLAG)
    return DeclTag(type_id, string(record[0]), record[2], signed32(record[3]), attribute)


def _type_tag(string: Strings, type_id: int, record: list[int]) -> Type:
    return TypeTag(type_id, string(record[0]), record[2], bool(record[1] & KIND_FLAG))


_DECODERS: dict[int, _Decoder] = {
    Kind.INT: _int,
    Kind.PTR: _ptr,
    Kind.ARRAY: _array,
    Kind.STRUCT: _struct,
    Kind.UNION: _union,
    Kind.ENUM: _enum,
    Kind.FWD: _fwd,
    Kind.TYPEDEF: _typedef,
    Kind.VOLATILE: _volatile,
    Kind.CONST: _const,
    Kind.RESTRICT: _restrict,
    Kind.FUNC: _func,
    Kind.FUNC_PROTO: _func_proto,
    Kind.VAR: _var,
    Kind.DATASEC: _datasec,
    Kind.FLOAT: _float,
    Kind.DECL_TAG: _decl_tag,
    Kind.TYPE_TAG: _type_tag,
    Kind.ENUM64: _enum64,
}
