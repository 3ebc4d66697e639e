"""Addresses in data that an engine has no numbers for: what to say about them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator

from osmia.errors import OsmiaWarning
from osmia.object.model import DataKind, DataSection, Object, Relocation, RelocationKind

#: As many of an object are told one by one.
_TOLD = 8

Pointer = tuple[DataSection, Relocation]


def pointers(obj: Object) -> Iterator[Pointer]:
    """The addresses in the object's data that code may follow.

    Not those of the programs of struct_ops; and labels of a function (`&&here`) are for jumps,
    which have their tables.
    """
    for section in obj.data_sections.values():
        for relocation in section.relocations if section.kind is not DataKind.STRUCT_OPS else ():
            if relocation.kind is not RelocationKind.FUNCTION or not relocation.addend:
                yield section, relocation


def pointer_text(obj: Object, section: DataSection, relocation: Relocation) -> str:
    """In words: "'where' (.data) points to 'table'+8"."""
    place = _name(section, relocation.offset)
    target, rest = relocation.target, relocation.addend
    pointed = obj.data_sections.get(target) if relocation.kind is RelocationKind.DATA else None
    key = pointed.variable_at(rest) if pointed is not None else None
    if pointed is not None and key is not None:
        target, rest = key, rest - pointed.variables[key].offset
    return f"{place} ({section.name}) points to {target!r}{f'{rest:+}' if rest else ''}"


def warn_of_pointers(obj: Object, of: Iterable[Pointer] | None = None, who: str = "kernel") -> None:
    """An OsmiaWarning that names addresses in data (default: all) that stay what the file has."""
    found = list(pointers(obj) if of is None else of)
    if not found:
        return
    told = "; ".join(pointer_text(obj, *each) for each in found[:_TOLD])
    more = f"; and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    warnings.warn(
        f"{obj.path or obj.name}: the {who} fills in no such address in data, so programs read"
        f" what the file has in its place: {told}{more}",
        OsmiaWarning,
        stacklevel=4,
    )


def _name(section: DataSection, offset: int) -> str:
    key = section.variable_at(offset)
    if key is None:
        return f"offset {offset}"
    rest = offset - section.variables[key].offset
    return f"{key!r}{f'+{rest}' if rest else ''}"
