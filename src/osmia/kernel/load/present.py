"""What the kernel holds already, as providers: maps and global data of whoever loaded them.

Names are those of the maps' BTF, since the kernel cuts those of maps at 15 characters; a map
without BTF is known by what is left of its name. Functions of loaded programs are found, too,
to be told: the kernel has no code of them that could be copied.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from osmia.btf import BTF, BTFBuilder, DataSec, Func, FuncLinkage, Kind, Var, VarLinkage
from osmia.btf.patch import MAPS_SECTION
from osmia.engine.maps import Map, MapInfo
from osmia.engine.reuse import differences, effective
from osmia.errors import KernelError
from osmia.formats.elf_symbols import data_kind
from osmia.kernel.maps.info import read_info
from osmia.kernel.maps.raw import KernelMap
from osmia.kernel.programs.info import ProgramInfo, function_records, program_info
from osmia.kernel.sys import syscall
from osmia.kernel.sys.btf_objects import try_btf_from_id
from osmia.kernel.sys.cpus import possible_cpus
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.syscall import NAME_LENGTH
from osmia.object import model
from osmia.object.model import (
    DataKind,
    DataSection,
    Extern,
    ExternKind,
    Function,
    Linkage,
    Object,
    Variable,
)
from osmia.object.uapi import MapType, ProgramType
from osmia.records import dataclass, field, replace

_NAME = "kernel"
_TYPES = {int(kind): kind for kind in MapType}
_DATA = (DataKind.DATA, DataKind.BSS, DataKind.RODATA)


@dataclass(slots=True)
class Present:
    """The maps that were made with one BTF, or one program, as a provider."""

    object: Object
    maps: dict[str, Map] = field(default_factory=dict)
    program: ProgramInfo | None = None
    name: str = _NAME

    def where(self, found: Any) -> str:
        """In words, for who must choose."""
        if self.program is not None:
            each = self.program
            return f"program {each.name!r} {each.id}, tag {each.tag}"
        live = self.maps[found.key]
        return f"map {live.name!r} {live.id}"

    @property
    def no_code(self) -> str:
        """Why functions of it cannot be copied."""
        return (
            "the kernel gives no code that could be loaded again: import the object that it was"
            " loaded from, its file, or a library that it is published in"
        )


@contextmanager
def providers(obj: Object, *, replacing: bool = False) -> Iterator[list[Present]]:
    """What in the kernel may be what is extern in `obj`; CAP_SYS_ADMIN. The maps are open until
    the block ends. Of functions, with `replacing`, only those of extension programs."""
    wanted = _Wanted.of(obj)
    with ExitStack() as opened:
        known: dict[int, BTF | None] = {}
        found: dict[int, Present] = {}
        if wanted.variables or wanted.maps:
            for number in _ids(syscall.map_get_next_id):
                fd = _open(syscall.map_get_fd_by_id, number, f"map {number}")
                if fd is not None and not _add_map(fd, obj, wanted, known, found):
                    fd.close()
            for each in found.values():
                for live in each.maps.values():
                    opened.callback(live.close)
        yield [*found.values(), *_programs(wanted, known, replacing)]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is looked for: variables and functions by name, maps by what the kernel has of it."""

    variables: frozenset[str]
    functions: frozenset[str]
    maps: Mapping[str, list[Extern]]

    @classmethod
    def of(cls, obj: Object) -> _Wanted:
        every = [each for each in obj.externs.values() if each.kind is not ExternKind.KCONFIG]
        btf = obj.btf
        functions = [e for e in every if btf is not None and btf.kind_of(e.btf_id) == Kind.FUNC]
        maps: dict[str, list[Extern]] = {}
        for each in every:
            if each.map is not None:
                maps.setdefault(each.name[:NAME_LENGTH], []).append(each)
        rest = [e for e in every if e not in functions and e.map is None]
        return cls(frozenset(e.name for e in rest), frozenset(e.name for e in functions), maps)


def _add_map(
    fd: FileDescriptor,
    obj: Object,
    wanted: _Wanted,
    known: dict[int, BTF | None],
    found: dict[int, Present],
) -> bool:
    """Whether a map is something that is wanted; it is in `found` then, and owns `fd`."""
    info = read_info(fd.fileno())
    is_data = info.type is MapType.ARRAY and info.max_entries == 1 and info.btf_value_type_id
    candidates = wanted.maps.get(info.name, [])
    if not candidates and not (is_data and wanted.variables):
        return False
    btf = _btf(info.btf_id, known)
    names = [each for each in candidates if _may_be(each.name, info, btf)]
    section = _section(info, btf, wanted.variables) if is_data and btf is not None else None
    if not names and section is None:
        return False
    keys = {*(each.name for each in names), *([section.name] if section is not None else ())}
    key, place = info.btf_id, found.get(info.btf_id)
    if place is None or not info.btf_id or keys & place.maps.keys():
        # Maps without BTF have nothing in common, and those of one cut name are not told apart.
        types = btf if btf is not None else BTFBuilder().build()
        place = Present(Object(_NAME, byteorder=obj.byteorder, btf=types))
        key = info.btf_id if info.btf_id and info.btf_id not in found else -info.id
    live = Map.over(KernelMap(fd, info))
    for extern in names:
        place.object.maps[extern.name] = _definition(extern, info)
        place.maps[extern.name] = live
    if section is not None:
        place.object.data_sections[section.name] = section
        place.maps[section.name] = live
    found[key] = place
    return True


def _may_be(name: str, info: MapInfo, btf: BTF | None) -> bool:
    """Whether a map may be that of a name, of which the kernel has the beginning."""
    declared = btf.type(btf.find(MAPS_SECTION, Kind.DATASEC)) if btf is not None else None
    if btf is None or not isinstance(declared, DataSec):
        return name == info.name
    names = [btf.name_of(entry.type_id) for entry in declared.entries]
    return name in names or (name == info.name and name not in {n[:NAME_LENGTH] for n in names})


def _definition(extern: Extern, info: MapInfo) -> model.Map:
    """What the kernel tells of a map that `extern` declares; the rest is as declared."""
    assert extern.map is not None
    declared = replace(
        extern.map,
        key_type_id=info.btf_key_type_id,
        value_type_id=info.btf_value_type_id,
    )
    if not differences(effective(declared, possible_cpus()), info):
        return declared
    return replace(
        declared,
        type=_TYPES.get(int(info.type), declared.type),
        key_size=info.key_size,
        value_size=info.value_size,
        max_entries=info.max_entries,
        flags=int(info.flags),
        map_extra=info.map_extra,
    )


def _section(info: MapInfo, btf: BTF, wanted: frozenset[str]) -> DataSection | None:
    """The data section that a map holds, with the variables of it that are wanted."""
    declared = btf.type(info.btf_value_type_id)
    kind = data_kind(declared.name) if isinstance(declared, DataSec) else None
    if not isinstance(declared, DataSec) or kind not in _DATA:
        return None
    variables = {}
    for entry in declared.entries:
        each = btf.type(entry.type_id)
        if not isinstance(each, Var) or each.linkage != VarLinkage.GLOBAL_ALLOCATED:
            continue
        if each.name in wanted:
            variables[each.name] = Variable(each.name, entry.offset, entry.size, each.type_id)
    if not variables:
        return None
    return DataSection(declared.name, kind, bytearray(info.value_size), variables)


def _programs(wanted: _Wanted, known: dict[int, BTF | None], replacing: bool) -> Iterator[Present]:
    """The programs that have a global function which is wanted."""
    for number in _ids(syscall.prog_get_next_id) if wanted.functions else ():
        fd = _open(syscall.prog_get_fd_by_id, number, f"program {number}")
        if fd is None:
            continue
        with fd:
            info = program_info(fd.fileno())
            if replacing and info.type is not ProgramType.EXT:
                continue
            btf = _btf(info.btf_id, known)
            functions = {} if btf is None else _functions(fd, btf, wanted.functions)
            if functions:
                obj = Object(_NAME, btf=btf, functions=functions)
                yield Present(obj, program=info)


def _functions(fd: FileDescriptor, btf: BTF, wanted: frozenset[str]) -> dict[str, Function]:
    if not any(btf.find(name, Kind.FUNC) for name in wanted):
        return {}
    records, size = function_records(fd.fileno())
    found = {}
    for offset in range(0, len(records) - size + 1, size or 1):
        _, type_id = struct.unpack_from("=II", records, offset)
        each = btf.type(type_id)
        is_visible = isinstance(each, Func) and each.linkage == FuncLinkage.GLOBAL
        if is_visible and each.name in wanted:
            made = Function(each.name, "", b"", btf_id=type_id, linkage=Linkage.GLOBAL)
            found[each.name] = made
    return found


def _btf(number: int, known: dict[int, BTF | None]) -> BTF | None:
    if number and number not in known:
        known[number] = try_btf_from_id(number)
    return known.get(number)


def _ids(following: Any) -> Iterator[int]:
    number: int | None = 0
    while (number := following(number)) is not None:
        yield number


def _open(open_by_id: Any, number: int, what: str) -> FileDescriptor | None:
    """A descriptor; None for what is gone meanwhile."""
    try:
        return FileDescriptor(open_by_id(number), what)
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise
        return None
