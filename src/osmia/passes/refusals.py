"""What a load will refuse, told from the object alone: whatever the kernel is."""

from __future__ import annotations

from collections.abc import Container, Iterator

from osmia.errors import OsmiaError
from osmia.object.model import DataKind, ExternKind, Object, Pinning
from osmia.object.sections import unknown_section
from osmia.object.uapi import MapType, ProgramType
from osmia.passes.externs import extern_order


def refusals(obj: Object, namespaces: Container[int] = ()) -> list[str]:
    """The reasons, in words. `namespaces` are the pinning numbers that iproute2's file names."""
    return [*_programs(obj), *_externs(obj), *_pins(obj, namespaces), *_arenas(obj)]


def _programs(obj: Object) -> Iterator[str]:
    """iproute2's programs have the type of what they are attached to."""
    for program in obj.programs.values() if obj.dialect == "libbpf" else ():
        if program.autoload and program.type is ProgramType.UNSPEC:
            yield f"program {program.name!r}: {unknown_section(program.section, '')}"


def _externs(obj: Object) -> Iterator[str]:
    for extern in obj.externs.values():
        if extern.kind is ExternKind.OBJECT and not extern.weak:
            yield f"extern {extern.name!r} is for another object to define; link them"
    try:
        extern_order(obj)
    except OsmiaError as error:  # configuration values of a type that they cannot have
        yield str(error)


def _pins(obj: Object, namespaces: Container[int]) -> Iterator[str]:
    for definition in obj.maps.values():
        known = definition.pinning in list(Pinning) or definition.pinning in namespaces
        if definition.autocreate and not known and not definition.pin_path:
            yield (
                f"map {definition.name!r}: pinning {definition.pinning} is not known; no line of"
                " /etc/iproute2/bpf_pinning names it"
            )


def _arenas(obj: Object) -> Iterator[str]:
    arenas = sum(each.type is MapType.ARENA for each in obj.maps.values())
    for section in obj.data_sections.values():
        if section.kind is DataKind.ARENA and arenas != 1:
            yield f"section {section.name!r} needs an arena among the maps, and there are {arenas}"
