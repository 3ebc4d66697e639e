"""One type as C text, for people: in errors, listings, `osmia inspect`."""

from __future__ import annotations

from osmia.arguments import names_wrong_arguments
from osmia.btf.c.bodies import Bodies
from osmia.btf.c.names import identifier
from osmia.btf.c.spelling import Spelling
from osmia.btf.reader import BTF
from osmia.btf.types import (
    DataSec,
    DeclTag,
    Enum,
    Enum64,
    Func,
    Struct,
    Type,
    Typedef,
    Union,
    Var,
)


@names_wrong_arguments
def format_type(btf: BTF, type_id: int) -> str:
    """The type as C names it: "const struct task_struct *", "int (*)(void *, long)".

    Bodies of anonymous types are left out: "struct {...}". Functions and variables
    are shown with their names.
    """
    return declaration(btf, type_id, "")


@names_wrong_arguments
def declaration(btf: BTF, type_id: int, name: str) -> str:
    """A declaration of `name` with this type, without the semicolon: "char comm[16]".

    For a function or variable and an empty `name`, its own name is taken.
    """
    found = btf.type(type_id)
    if isinstance(found, DeclTag):
        return f"tag {found.name!r} of {_declare(btf, btf.type(found.type_id), name)}"
    return _declare(btf, found, name)


def _declare(btf: BTF, found: Type, name: str) -> str:
    match found:
        case DataSec() | DeclTag():
            return f"{found.kind.name.lower()} {name or found.name}"
        case Func() | Var():
            type_id, name = found.type_id, name or found.name
        case _:
            type_id = found.id
    return Spelling(btf, _abbreviated).declare(type_id, identifier(name) if name else "")


@names_wrong_arguments
def definition(btf: BTF, type_id: int) -> str:
    """The type's definition in C with its semicolon, without what it depends on.

    That of a struct, union, enumeration or typedef; any other type gives its declaration.
    """
    found = btf.type(type_id)
    bodies = Bodies(btf)
    match found:
        case Struct() | Union() | Enum() | Enum64():
            return f"{bodies.definition(found)};"
        case Typedef():
            name = bodies.spelling.name_of(found)
            return f"typedef {bodies.spelling.declare(found.target, name)};"
    return f"{declaration(btf, type_id, '')};"


def _abbreviated(found: Type, _level: int) -> str:
    keyword = "enum" if isinstance(found, Enum64) else found.kind.name.lower()
    return f"{keyword} {{...}}"
