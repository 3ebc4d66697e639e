"""Names of programs and maps as their sources have them: the kernel keeps 15 characters.

BTF has them whole: a program's is that of the function that it begins with, a map's that of the
variable that declares it. Where BTF does not tell beyond doubt, the kernel's stays.
"""

from __future__ import annotations

import struct
from functools import cache

from osmia.errors import OsmiaError
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable

    from osmia.btf import BTF, Type
    from osmia.engine.maps.info import MapInfo
    from osmia.kernel.programs.info import ProgramInfo

#: A name of this many characters may be the beginning of a longer one.
_MOST_CHARACTERS = 15


def program_name(info: ProgramInfo) -> str:
    """The name of a program, whole where its BTF has it. Nothing is read for short names."""
    if len(info.name) < _MOST_CHARACTERS or not info.btf_id or not info.function_count:
        return info.name
    from osmia.kernel.programs.info import function_records

    try:
        with FileDescriptor(syscall.prog_get_fd_by_id(info.id), f"program {info.id}") as fd:
            records, _size = function_records(fd.fileno())
        _offset, function = struct.unpack_from("=II", records)
        name = _types(info.btf_id).name_of(function)
    except (OsmiaError, struct.error):  # gone, nothing that we may read, or types that lie
        return info.name
    return name if name.startswith(info.name) else info.name


def map_name(info: MapInfo) -> str:
    """The name of a map, whole where the BTF that it came with declares just one such map: of
    that beginning, type, key and value. Nothing is read for short names."""
    if len(info.name) < _MOST_CHARACTERS or not info.btf_id:
        return info.name
    try:
        names = set(_declared(_types(info.btf_id), info))
    except OsmiaError:
        return info.name
    return names.pop() if len(names) == 1 else info.name


def _declared(types: BTF, info: MapInfo) -> list[str]:
    """The maps of an object that may be this one."""
    from osmia.btf import DataSec, Kind, Struct, Var

    found = []
    for section in types.ids_of_kind(Kind.DATASEC):
        entries = types.type(section)
        if not isinstance(entries, DataSec) or entries.name != ".maps":
            continue
        for entry in entries.entries:
            variable = types.type(entry.type_id)
            if isinstance(variable, Var) and variable.name.startswith(info.name):
                shape = types.type(types.resolve(variable.type_id))
                if isinstance(shape, Struct) and _agrees(types, shape, info):
                    found.append(variable.name)
    return found


def _agrees(types: BTF, shape: Type, info: MapInfo) -> bool:
    """Whether what a declaration says of type, key and value is what the map has."""
    from osmia.btf import Struct

    assert isinstance(shape, Struct)
    declared = {member.name: member.type_id for member in shape.members}
    checks: dict[str, tuple[Callable[[BTF, int], int], int]] = {
        "type": (_number, int(info.type)),
        "key": (_pointed_to, info.btf_key_type_id),
        "value": (_pointed_to, info.btf_value_type_id),
        "key_size": (_number, info.key_size),
        "value_size": (_number, info.value_size),
    }
    for name, (read, expected) in checks.items():
        if name in declared and expected and read(types, declared[name]) != expected:
            return False
    return True


def _number(types: BTF, type_id: int) -> int:
    """What __uint(name, number) says: a pointer to an array of that length."""
    from osmia.btf import Array, Ptr

    pointer = types.type(types.resolve(type_id))
    array = types.type(types.resolve(pointer.target)) if isinstance(pointer, Ptr) else None
    return array.count if isinstance(array, Array) else 0


def _pointed_to(types: BTF, type_id: int) -> int:
    """What __type(name, type) says: a pointer to it."""
    from osmia.btf import Ptr

    pointer = types.type(types.resolve(type_id))
    return pointer.target if isinstance(pointer, Ptr) else 0


@cache
def _types(identifier: int) -> BTF:
    """Numbers are given once: what was read stays right."""
    from osmia.kernel.sys.btf_objects import btf_from_id

    return btf_from_id(identifier)
