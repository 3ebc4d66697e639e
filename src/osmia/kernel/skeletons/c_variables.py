"""Global variables as C sees them in a skeleton: a struct for each data section."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

from osmia.btf import BTF, Array, Const, Restrict, TypeTag, Volatile
from osmia.btf.c.bodies import Bodies
from osmia.kernel.skeletons.names import member_name
from osmia.object.model import DataSection, Linkage, Object

_INDENT = "\t\t"


def section_struct(obj: Object, section: DataSection) -> Iterator[str]:
    """The members of the struct for a section: its variables but static ones, at their places.

    Without `const` and `volatile`, since C code sets constants before load. Types other than
    C's own are named, not defined: whoever includes the header has them.
    """
    end = pads = 0
    for each in sorted(section.variables.values(), key=attrgetter("offset")):
        if each.linkage is Linkage.STATIC or not each.size:
            continue
        if each.offset > end and not _is_natural(obj.btf, each.type_id, end, each.offset):
            yield f"{_INDENT}char __pad{pads}[{each.offset - end}];"
            pads += 1
        yield f"{_INDENT}{_declared(obj.btf, each.type_id, member_name(each.name), each.size)};"
        end = each.offset + each.size


def _is_natural(btf: BTF | None, type_id: int, end: int, offset: int) -> bool:
    """Whether C puts the variable there by itself, also where 8 bytes are aligned to 4."""
    alignment = min(4, btf.alignment_of(type_id)) if btf is not None and type_id else 1
    return -(-end // alignment) * alignment == offset


def _declared(btf: BTF | None, type_id: int, name: str, size: int) -> str:
    if btf is None or not type_id:
        return f"char {name}[{size}]"
    type_id = _plain(btf, type_id)
    dimensions = ""
    while isinstance(found := btf.type(type_id), Array):
        dimensions += f"[{found.count}]"
        type_id = _plain(btf, found.element)
    # As one of the struct's members: bodies of anonymous types are as deep as it is.
    return Bodies(btf).spelling.declare(type_id, name + dimensions, len(_INDENT))


def _plain(btf: BTF, type_id: int) -> int:
    """The type without its qualifiers."""
    while isinstance(found := btf.type(type_id), Const | Volatile | Restrict | TypeTag):
        type_id = found.target
    return type_id
