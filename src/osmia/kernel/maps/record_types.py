"""The type of a buffer's records: the kernel keeps none with the map, but programs that use it do.

A ring buffer has no values, and the kernel takes no BTF for it. Programs are loaded with the BTF
of their file, in which the map's declaration says the type (`__type(value, struct event)`). That
of a perf buffer cannot: its values are descriptors.
"""

from __future__ import annotations

from collections.abc import Iterator

from osmia.btf import BTF, Array, Kind, Ptr, Struct, Var
from osmia.engine.maps.info import MapInfo
from osmia.errors import KernelError, OsmiaError
from osmia.kernel.programs.info import program_info
from osmia.kernel.sys import syscall
from osmia.kernel.sys.btf_objects import try_btf_from_id
from osmia.kernel.sys.fd import FileDescriptor
from osmia.values import Codec, codec

#: Characters of a map's name that the kernel keeps.
_NAME_LENGTH = 15


def record_codec(info: MapInfo) -> Codec | None:
    """The codec of a buffer's records, as the programs that use the map declare it.

    None where no program is loaded that does, where these say nothing or not the same, and for
    those who may not list programs (CAP_SYS_ADMIN).
    """
    try:
        for btf in _program_types(info.id):
            declared = _declared(btf, info)
            if len({each.type_name for each in declared}) == 1:
                return declared[0]
    except OsmiaError:
        pass
    return None


def _program_types(map_id: int) -> Iterator[BTF]:
    """The BTF of the programs that use a map, each once."""
    seen = {0}
    number = syscall.prog_get_next_id(0)
    while number is not None:
        try:
            with FileDescriptor(syscall.prog_get_fd_by_id(number), f"program {number}") as fd:
                found = program_info(fd.fileno())
        except KernelError:  # gone since it was listed
            found = None
        if found is not None and map_id in found.map_ids and found.btf_id not in seen:
            seen.add(found.btf_id)
            types = try_btf_from_id(found.btf_id)
            if types is not None:
                yield types
        number = syscall.prog_get_next_id(number)


def _declared(btf: BTF, info: MapInfo) -> list[Codec]:
    """What the declarations of maps of that name and type say of their values."""
    found = []
    for type_id in btf:
        if btf.kind_of(type_id) != Kind.VAR:
            continue
        if btf.name_of(type_id)[:_NAME_LENGTH] != info.name:
            continue
        variable = btf.type(type_id)
        assert isinstance(variable, Var)
        definition = btf.type(btf.resolve(variable.type_id))
        if isinstance(definition, Struct) and _map_type(btf, definition) == info.type:
            found += _value_codec(btf, definition)
    return found


def _map_type(btf: BTF, definition: Struct) -> int | None:
    """The number that `__uint(type, …)` is: the length of an array that a pointer is to."""
    for target in _pointed_to(btf, definition, "type"):
        array = btf.type(btf.resolve(target))
        if isinstance(array, Array):
            return array.count
    return None


def _value_codec(btf: BTF, definition: Struct) -> list[Codec]:
    return [codec(btf, target) for target in _pointed_to(btf, definition, "value")]


def _pointed_to(btf: BTF, definition: Struct, name: str) -> list[int]:
    """What the member of a name points to."""
    members = [each.type_id for each in definition.members if each.name == name]
    pointers = [btf.type(btf.resolve(each)) for each in members]
    return [each.target for each in pointers if isinstance(each, Ptr)]
