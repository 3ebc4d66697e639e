"""One section of an object as it is attached: its program with the type of the hook.

tc and ip load one section, and with it all that prog arrays hold, with the type of what
they attach to; whatever else the file has is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from osmia.errors import OsmiaError
from osmia.object.model import Object, Program
from osmia.object.uapi import MapType, ProgramType
from osmia.records import replace

#: What iproute2 takes when nobody says a section.
DEFAULT_SECTIONS = {
    ProgramType.SCHED_CLS: "classifier",
    ProgramType.SCHED_ACT: "action",
    ProgramType.XDP: "prog",
    ProgramType.LWT_IN: "prog",
    ProgramType.LWT_OUT: "prog",
    ProgramType.LWT_XMIT: "prog",
}


def for_attachment(obj: Object, kind: ProgramType, section: str = "") -> tuple[Object, str]:
    """`obj` with the program of `section` and those in prog arrays to be loaded as `kind`.

    `section` may also be the program's name; "" is iproute2's default, or the only program
    there is of that type. Gives the object and the program's name; OsmiaError when it is
    not clear which program is meant.
    """
    chosen = find_program(obj, kind, section)
    wanted = {chosen.name, *_in_prog_arrays(obj)}
    prepared = obj.copy()
    for name, program in obj.programs.items():
        made = replace(program, autoload=name in wanted)
        prepared.programs[name] = _as(made, kind) if name in wanted else made
    return prepared, chosen.name


def for_graft(obj: Object, kind: ProgramType, name: str) -> Object:
    """`obj` with one program alone to be loaded as `kind`, and nothing that others share changed.

    Maps that are pinned keep what is in them: neither their slots nor those of any prog
    array are filled.
    """
    prepared = obj.copy()
    for program in obj.programs.values():
        made = replace(program, autoload=program.name == name)
        prepared.programs[program.name] = _as(made, kind) if made.autoload else made
    for definition in obj.maps.values():
        if definition.pinning or definition.type is MapType.PROG_ARRAY:
            prepared.maps[definition.name] = replace(definition, slots=())
    return prepared


def find_program(obj: Object, kind: ProgramType, section: str = "") -> Program:
    """The program that `section` means: a section's name, a program's, or "" (see above)."""
    wanted = section or DEFAULT_SECTIONS.get(kind, "")
    found = [program for program in obj.programs.values() if program.section == wanted]
    if not found and section in obj.programs:
        found = [obj.programs[section]]
    if not found and not section:
        held = set(_in_prog_arrays(obj))
        found = [
            program
            for program in obj.programs.values()
            if program.type is kind and program.name not in held
        ]
    if len(found) == 1 or (found and obj.dialect == "iproute2"):
        return found[0]  # what stands first in a section is what tc runs
    has = ", ".join(repr(program.section) for program in obj.programs.values()) or "no programs"
    said = repr(section) if section else f"section {wanted!r} or one {kind.name.lower()} program"
    if found:
        where = f"in {wanted!r}" if all(each.section == wanted for each in found) else "to attach"
        names = ", ".join(repr(program.name) for program in found)
        problem = f"several programs {where}; give a name: {names}"
    else:
        problem = f"no {said}; it has {has}"
    raise OsmiaError(f"{obj.path or obj.name}: {problem}")


def _in_prog_arrays(obj: Object) -> Iterable[str]:
    for definition in obj.maps.values():
        if definition.type is MapType.PROG_ARRAY:
            yield from (target for _, target in definition.slots)


def _as(program: Program, kind: ProgramType) -> Program:
    if program.type is kind:
        return program
    return replace(program, type=kind, expected_attach_type=None, flags=0)
