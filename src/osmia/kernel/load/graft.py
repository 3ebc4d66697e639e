"""Replace one program of a prog array that a running datapath uses."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Container
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from osmia.engine.maps import Map
from osmia.errors import KernelError, MapMismatchError, OsmiaError
from osmia.kernel.load import loader
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.load.tc_pins import tc_root
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import syscall
from osmia.kernel.sys.pins import safe_name
from osmia.kernel.sys.syscall import NAME_LENGTH
from osmia.object.model import Object, Pinning
from osmia.object.sections import tail_call_of
from osmia.object.uapi import AttachType, MapType, ProgramType
from osmia.passes.attachment import find_program, for_graft
from osmia.records import replace

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
    *,
    pin_root: str | os.PathLike[str] | None = None,
) -> int:
    """Load the program of `section` and store it at `key` of the pinned prog array, atomically.

    Without a key the section's name tells it ("ID/KEY"). The type is that of the prog
    array's other programs; `program_type` says it for one that never held any. What is
    incompatible is refused before anything is loaded: MapMismatchError for another type,
    OsmiaError for a map that is no prog array and a key out of range. Gives the id of the
    new program.

    The program uses the maps of the running datapath: the prog array itself, under its name,
    and what is pinned beside it. A map that is pinned by name and is not there is refused;
    with `pin_root` pins are looked for in that directory, and made where they are missing.
    """
    with ExitStack() as opened:
        array = opened.enter_context(Map.from_pin(map_path))
        where = f"map '{os.fspath(map_path)}'"
        kind = _program_type(obj, array, where, section, program_type)
        chosen = find_program(obj, kind, section)
        slot = _key(array, where, key, chosen.section)
        prepared = for_graft(obj, kind, chosen.name)
        root = Path(map_path).parent if pin_root is None else Path(pin_root)
        running = _running_maps(prepared, array, Path(map_path), root, opened)
        if pin_root is None:
            _check_pins(prepared, running, root)
        load = partial(loader.load, maps=running, pin_root=root)
        try:
            return _load_and_store(load, prepared, chosen.name, array, where, slot)
        except KernelError as error:
            # The kernel does not tell the attach type of the programs there: there are two.
            if error.errno != errno.EINVAL or kind is not ProgramType.XDP:
                raise
            other = _other_attach_type(prepared, chosen.name)
            return _load_and_store(load, other, chosen.name, array, where, slot)


def _running_maps(
    obj: Object, array: Map, path: Path, root: Path, opened: ExitStack
) -> dict[str, Map]:
    """Maps of the datapath that the object's own are: the array, and what is pinned beside it
    under the name of a map that says no place. (iproute2's then are the object's alone.)"""
    running: dict[str, Map] = {}
    for name, definition in obj.maps.items():
        is_array = name == path.name or name[:NAME_LENGTH] == array.info.name
        untold = not definition.pinning and not definition.pin_path and obj.dialect == "libbpf"
        if definition.type is MapType.PROG_ARRAY and is_array:
            running[name] = array
        elif untold and definition.autocreate and (root / safe_name(name)).exists():
            running[name] = opened.enter_context(Map.from_pin(root / name))
    return running


def _check_pins(obj: Object, running: Container[str], root: Path) -> None:
    """Refuse to make a new map where the running datapath is to share one."""
    for name, definition in obj.maps.items():
        by_name = definition.pinning == Pinning.BY_NAME and not definition.pin_path
        if by_name and definition.autocreate and name not in running:
            place = root / safe_name(name)
            if not os.path.lexists(place):
                raise OsmiaError(
                    f"map {name!r} is pinned by name, and there is no '{place}' that the running"
                    " programs would use; say where pins are (--pin-root, pin_root=)"
                )


def _load_and_store(
    load: Callable[[Object], KernelObject],
    obj: Object,
    name: str,
    array: Map,
    where: str,
    slot: int,
) -> int:
    with load(obj) as loaded:
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


def _store(array: Map, where: str, slot: int, program: KernelProgram) -> int:
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
