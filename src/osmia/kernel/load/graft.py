"""Replace one program of a prog array that a running datapath uses."""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import replace
from pathlib import Path

from osmia.engine.maps import Map
from osmia.errors import KernelError, MapMismatchError, OsmiaError
from osmia.kernel.load import loader
from osmia.kernel.load.tc_pins import tc_root
from osmia.kernel.programs.program import Program
from osmia.kernel.sys import syscall
from osmia.object.model import Object
from osmia.object.sections import tail_call_of
from osmia.object.uapi import AttachType, MapType, ProgramType
from osmia.passes.attachment import find_program, for_graft

_TC_PREFIX = "m:"


def pinned_map_path(name: str) -> Path:
    """The path that `name` means: a path, "m:globals/NAME" as tc has it, or a name in
    tc/globals."""
    if name.startswith(_TC_PREFIX):
        return tc_root() / "tc" / name.removeprefix(_TC_PREFIX)
    return Path(name) if "/" in name else tc_root() / "tc" / "globals" / name


def graft(
    obj: Object,
    map_path: str | os.PathLike[str],
    key: int | None = None,
    section: str = "",
    program_type: ProgramType | None = None,
) -> int:
    """Load the program of `section` and store it at `key` of the pinned prog array, atomically.

    Without a key the section's name tells it ("ID/KEY"). The type is that of the prog
    array's other programs; `program_type` says it for one that never held any. What is
    incompatible is refused before anything is loaded: MapMismatchError for another type,
    OsmiaError for a map that is no prog array and a key out of range. Gives the id of the
    new program.
    """
    with Map.from_pin(map_path) as array:
        where = f"map '{os.fspath(map_path)}'"
        kind = _program_type(obj, array, where, section, program_type)
        chosen = find_program(obj, kind, section)
        slot = _key(array, where, key, chosen.section)
        prepared = for_graft(obj, kind, chosen.name)
        try:
            return _load_and_store(prepared, chosen.name, array, where, slot)
        except KernelError as error:
            # The kernel does not tell the attach type of the programs there: there are two.
            if error.errno != errno.EINVAL or kind is not ProgramType.XDP:
                raise
            return _load_and_store(
                _other_attach_type(prepared, chosen.name), chosen.name, array, where, slot
            )


def _load_and_store(obj: Object, name: str, array: Map, where: str, slot: int) -> int:
    with loader.load(obj) as loaded:
        return _store(array, where, slot, loaded.programs[name])


def _other_attach_type(obj: Object, name: str) -> Object:
    """XDP programs are loaded with an attach type (libbpf) or without (iproute2)."""
    program = obj.programs[name]
    expected = None if program.expected_attach_type else AttachType.XDP
    return obj.copy(programs=obj.programs | {name: replace(program, expected_attach_type=expected)})


def _program_type(
    obj: Object, array: Map, where: str, section: str, said: ProgramType | None
) -> ProgramType:
    """The type to load with; raises when the map cannot hold a program of it."""
    if array.type is not MapType.PROG_ARRAY:
        kind = getattr(array.type, "name", str(array.type)).lower()
        raise OsmiaError(f"{where} is no prog array but a {kind}")
    owner = array.info.owner_prog_type
    told = find_program(obj, said or ProgramType(owner or 0), section).type
    wanted = said or (told if told is not ProgramType.UNSPEC else None)
    if owner is None:
        if wanted is None:
            raise OsmiaError(f"{where} holds no program whose type to take; say one")
        return wanted
    if wanted is not None and wanted != owner:
        difference = f"{ProgramType(owner).name.lower()} in the map, {wanted.name.lower()} here"
        raise MapMismatchError(f"{where} takes programs of another type", (difference,))
    return ProgramType(owner)


def _key(array: Map, where: str, key: int | None, section: str) -> int:
    if key is None:
        place = tail_call_of(section)
        if place is None:
            raise OsmiaError(f"section {section!r} does not tell a slot of {where}; give a key")
        key = place.key
    if not 0 <= key < array.max_entries:
        raise OsmiaError(f"slot {key} is out of range, {where} has {array.max_entries}")
    return key


def _store(array: Map, where: str, slot: int, program: Program) -> int:
    result = syscall.map_element(
        syscall.Command.MAP_UPDATE_ELEM,
        array.fileno(),
        key=struct.pack("=I", slot),
        value=struct.pack("=I", program.fileno()),
    )
    if result:
        what = f"store program {program.name!r} at {slot} of {where}"
        if -result == errno.EINVAL:
            hint = "its attach type, its frags or its JIT are not those of the programs there"
            raise KernelError(errno.EINVAL, what, hint=hint)
        raise syscall.error_of(syscall.Command.MAP_UPDATE_ELEM, -result, what)
    return program.id
