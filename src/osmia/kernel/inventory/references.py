"""What in the kernel itself keeps programs and maps alive: links, maps that hold them, programs."""

from __future__ import annotations

import errno
import struct
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from osmia.errors import KernelError
from osmia.kernel.inventory import iterate
from osmia.kernel.sys import syscall
from osmia.kernel.sys.attributes import LinkInfo
from osmia.kernel.sys.attributes import MapInfo as RawMapInfo
from osmia.kernel.sys.fd import FileDescriptor
from osmia.named_tuples import NamedTuple
from osmia.object.uapi import LinkType, MapType

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Literal

    from osmia.engine.maps.info import MapInfo

_OUTER = (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS)
#: An index or a queue's size, then a program's id: struct bpf_devmap_val, bpf_cpumap_val.
_WITH_PROGRAM, _VALUE_WITH_PROGRAM = (MapType.DEVMAP, MapType.DEVMAP_HASH, MapType.CPUMAP), 8


class Reference(NamedTuple):
    """What holds something: `kind` and id."""

    kind: Literal["link", "map", "program"]
    id: int


def holders_of_programs(most_slots: int | None = None) -> Mapping[int, list[Reference]]:
    """By program, the links, prog arrays, device and CPU maps that hold it; those that this
    process may look at. Since 4.13, links since 5.8.

    Prog arrays are read slot by slot: those of more than `most_slots` are left out.
    """
    found: dict[int, list[Reference]] = defaultdict(list)
    for link, program, _map in _links():
        if program:
            found[program].append(Reference("link", link))
    for info in _maps((MapType.PROG_ARRAY, *_WITH_PROGRAM)):
        held: Iterable[int] = ()
        if info.type == MapType.PROG_ARRAY:
            if most_slots is None or info.max_entries <= most_slots:
                held = (program for _slot, program in programs_in(info))
        elif info.type in _WITH_PROGRAM and info.value_size == _VALUE_WITH_PROGRAM:
            held = _numbers_in(info, 4)
        for program in dict.fromkeys(held):
            found[program].append(Reference("map", info.id))
    return found


def holders_of_maps() -> Mapping[int, list[Reference]]:
    """By map, the programs that use it, maps that it is in, and links (of struct_ops)."""
    found: dict[int, list[Reference]] = defaultdict(list)
    try:
        for program in iterate.programs():
            for number in program.map_ids:
                found[number].append(Reference("program", program.id))
    except KernelError:
        pass
    for info in _maps(_OUTER):
        for inner in dict.fromkeys(_numbers_in(info, 0)):
            found[inner].append(Reference("map", info.id))
    for link, _program, number in _links():
        if number:
            found[number].append(Reference("link", link))
    return found


def programs_in(info: MapInfo) -> list[tuple[int, int]]:
    """The slots of a prog array that are not empty: index and program id."""
    if info.owner_prog_type is None:
        return []  # no program was ever in it
    held = []
    try:
        with _opened(info) as array:
            # Not a KernelMap, whose module a list of a few arrays would wait for.
            call = syscall.ElementCall(array.fileno(), info.key_size, info.value_size)
            for index in range(info.max_entries):
                call.key.raw = index.to_bytes(info.key_size, sys.byteorder)
                if not call.lookup():  # else the slot is empty
                    held.append((index, int.from_bytes(call.value.raw, sys.byteorder)))
    except KernelError:  # gone since it was listed, or nothing that this process may open
        pass
    return held


def _links() -> Iterator[tuple[int, int, int]]:
    """All links: id, program and, of struct_ops, map."""
    try:
        for number in iterate.link_ids():
            told = _link(number)
            if told is not None:
                yield told
    except KernelError:  # before 5.8, or nothing that this process may ask
        return


def _link(number: int) -> tuple[int, int, int] | None:
    # Not links.info, which would import the ways to attach for a list of programs.
    try:
        with FileDescriptor(syscall.link_get_fd_by_id(number), f"link {number}") as fd:
            raw = LinkInfo()
            syscall.obj_get_info(fd.fileno(), raw, what="read link information")
    except KernelError:  # gone since it was listed
        return None
    (first,) = struct.unpack_from("=I", bytes(raw.details))
    return number, raw.prog_id, first if raw.type == LinkType.STRUCT_OPS else 0


def _maps(kinds: Collection[int]) -> Iterator[MapInfo]:
    """The maps of some types. Of others the type is all that is read."""
    from osmia.kernel.maps.info import read_info

    try:
        for number in iterate.map_ids():
            try:
                with FileDescriptor(syscall.map_get_fd_by_id(number), f"map {number}") as fd:
                    raw = RawMapInfo()
                    syscall.obj_get_info(fd.fileno(), raw, what="read map information")
                    told = read_info(fd.fileno()) if raw.type in kinds else None
            except KernelError as error:
                if error.errno == errno.ENOENT:  # gone since it was listed
                    continue
                raise
            if told is not None:
                yield told
    except KernelError:
        return


def _numbers_in(info: MapInfo, offset: int) -> list[int]:
    """The ids in the values of a map of other things; none where that is refused."""
    from osmia.kernel.maps.raw import KernelMap  # which reads in batches

    numbers = []
    try:
        with _opened(info) as descriptor:
            for _keys, values in KernelMap(descriptor, info).read():
                for at in range(offset, len(values), info.value_size):
                    if number := int.from_bytes(values[at : at + 4], sys.byteorder):
                        numbers.append(number)
    except KernelError:
        pass
    return numbers


def _opened(info: MapInfo) -> FileDescriptor:
    return FileDescriptor(syscall.map_get_fd_by_id(info.id), f"map {info.id}")
