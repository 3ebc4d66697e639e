"""From a type's class to its words: the inverse of `decode`, checked for what fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from osmia.btf.layout import KIND_FLAG, KIND_SHIFT, MAX_VLEN
from osmia.btf.types import (
    Array,
    Const,
    DataSec,
    DeclTag,
    Enum,
    Enum64,
    Float,
    Func,
    FuncProto,
    Fwd,
    Int,
    Kind,
    Member,
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

AddString = Callable[[str], int]
MapId = Callable[[int], int]


def encode_type(found: Type, add_string: AddString, map_id: MapId) -> list[int]:
    """The record of a type, as words in the host's order.

    `add_string` gives the offset of a name, `map_id` the new id of a type that this one
    refers to. Raises ValueError for what BTF cannot say.
    """
    record = _encode(found, add_string, map_id)
    for word in record:
        if not 0 <= word <= 0xFFFF_FFFF:
            raise ValueError(f"{_describe(found)}: {word} does not fit into 32 bits")
    return record


def _encode(found: Type, add_string: AddString, map_id: MapId) -> list[int]:
    name = add_string(found.name)
    match found:
        case Int():
            return [name, _info(found), found.size, _int_data(found)]
        case Ptr() | Typedef() | Volatile() | Const() | Restrict():
            return [name, _info(found), map_id(found.target)]
        case TypeTag():
            return [name, _info(found, flag=found.attribute), map_id(found.target)]
        case Array():
            element, index_type = map_id(found.element), map_id(found.index_type)
            return [name, _info(found), 0, element, index_type, found.count]
        case Struct() | Union():
            info = _info(found, len(found.members), flag=found.bitfields)
            members = _members(found, add_string, map_id)
            return [name, info, found.size, *members]
        case Enum():
            info = _info(found, len(found.values), flag=found.signed)
            return [name, info, found.size, *_values32(found, add_string)]
        case Enum64():
            info = _info(found, len(found.values), flag=found.signed)
            return [name, info, found.size, *_values64(found, add_string)]
        case Fwd():
            return [name, _info(found, flag=found.is_union), 0]
        case Func():
            return [name, _info(found, found.linkage), map_id(found.type_id)]
        case FuncProto():
            parameters = [
                word
                for parameter in found.parameters
                for word in (add_string(parameter.name), map_id(parameter.type_id))
            ]
            info = _info(found, len(found.parameters))
            return [name, info, map_id(found.return_type), *parameters]
        case Var():
            return [name, _info(found), map_id(found.type_id), found.linkage]
        case DataSec():
            entries = [
                word
                for entry in found.entries
                for word in (map_id(entry.type_id), entry.offset, entry.size)
            ]
            return [name, _info(found, len(found.entries)), found.size, *entries]
        case Float():
            return [name, _info(found), found.size]
        case DeclTag():
            component = found.component & 0xFFFF_FFFF
            info = _info(found, flag=found.attribute)
            return [name, info, map_id(found.type_id), component]
    raise ValueError("void has no record; its id is 0")


def _info(found: Type, vlen: int = 0, *, flag: bool = False) -> int:
    if not 0 <= vlen <= MAX_VLEN:
        raise ValueError(f"{_describe(found)}: {vlen} entries; BTF holds {MAX_VLEN}")
    return (KIND_FLAG if flag else 0) | found.kind << KIND_SHIFT | vlen


def _int_data(found: Int) -> int:
    if not (0 <= found.bits <= 0xFF and 0 <= found.offset <= 0xFF and 0 <= found.encoding <= 0xF):
        raise ValueError(f"{_describe(found)}: bits, offset or encoding out of range")
    return found.encoding << 24 | found.offset << 16 | found.bits


def _members(found: Struct | Union, add_string: AddString, map_id: MapId) -> Iterable[int]:
    for member in found.members:
        yield add_string(member.name)
        yield map_id(member.type_id)
        yield _member_offset(found, member)


def _member_offset(found: Struct | Union, member: Member) -> int:
    if not found.bitfields:
        if member.bitfield_size:
            raise ValueError(f"{_describe(found)}: member {member.name!r} is a bitfield")
        return member.bit_offset
    if not (0 <= member.bit_offset < 1 << 24 and 0 <= member.bitfield_size < 1 << 8):
        raise ValueError(f"{_describe(found)}: member {member.name!r} lies too far")
    return member.bitfield_size << 24 | member.bit_offset


def _values32(found: Enum, add_string: AddString) -> Iterable[int]:
    low, high = (-(1 << 31), 1 << 31) if found.signed else (0, 1 << 32)
    for name, value in found.values:
        if not low <= value < high:
            raise ValueError(f"{_describe(found)}: {name} = {value} does not fit into 32 bits")
        yield add_string(name)
        yield value & 0xFFFF_FFFF


def _values64(found: Enum64, add_string: AddString) -> Iterable[int]:
    low, high = (-(1 << 63), 1 << 63) if found.signed else (0, 1 << 64)
    for name, value in found.values:
        if not low <= value < high:
            raise ValueError(f"{_describe(found)}: {name} = {value} does not fit into 64 bits")
        yield add_string(name)
        yield value & 0xFFFF_FFFF
        yield value >> 32 & 0xFFFF_FFFF


def _describe(found: Type) -> str:
    return f"{Kind(found.kind).name.lower()} {found.name!r}"
