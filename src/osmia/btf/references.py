"""The ids that a type refers to: listed, and replaced."""

from __future__ import annotations

from collections.abc import Callable

from osmia.btf.types import (
    Array,
    Const,
    DataSec,
    DeclTag,
    Func,
    FuncProto,
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


def referenced_ids(found: Type) -> list[int]:
    """The ids of the types that `found` refers to, in their order in the record, with void's."""
    match found:
        case Ptr() | Typedef() | Volatile() | Const() | Restrict() | TypeTag():
            return [found.target]
        case Func() | Var() | DeclTag():
            return [found.type_id]
        case Array():
            return [found.element, found.index_type]
        case Struct() | Union():
            return [member.type_id for member in found.members]
        case FuncProto():
            return [found.return_type, *[parameter.type_id for parameter in found.parameters]]
        case DataSec():
            return [entry.type_id for entry in found.entries]
    return []


def with_references(found: Type, map_id: Callable[[int], int]) -> Type:
    """`found` with every id that it refers to replaced by what `map_id` gives for it."""
    match found:
        case Ptr() | Typedef() | Volatile() | Const() | Restrict() | TypeTag():
            return found._replace(target=map_id(found.target))
        case Func() | Var() | DeclTag():
            return found._replace(type_id=map_id(found.type_id))
        case Array():
            element, index_type = map_id(found.element), map_id(found.index_type)
            return found._replace(element=element, index_type=index_type)
        case Struct() | Union():
            members = [m._replace(type_id=map_id(m.type_id)) for m in found.members]
            return found._replace(members=tuple(members))
        case FuncProto():
            parameters = [p._replace(type_id=map_id(p.type_id)) for p in found.parameters]
            return_type = map_id(found.return_type)
            return found._replace(return_type=return_type, parameters=tuple(parameters))
        case DataSec():
            entries = [e._replace(type_id=map_id(e.type_id)) for e in found.entries]
            return found._replace(entries=tuple(entries))
    return found
