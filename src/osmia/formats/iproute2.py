"""Front end for ELF objects in iproute2's dialect: maps as structs in section `maps`.

What the sections mean: include/bpf_elf.h and lib/bpf_legacy.c of iproute2. Programs
have the type of what they are attached to, so most sections do not tell one; sections
named "ID/KEY" are stored in the prog array with that id.
"""

from __future__ import annotations

from functools import partial

from osmia.btf import BTF
from osmia.elf import ElfFile
from osmia.errors import ObjectFormatError
from osmia.formats.annotations import annotated
from osmia.formats.code_info import CodeInfo
from osmia.formats.elf_code import CodeReader
from osmia.formats.elf_data import read_data, read_externs
from osmia.formats.elf_other_sections import read_other_sections
from osmia.formats.elf_pointers import read_pointers
from osmia.formats.elf_symbols import SymbolTable, read_symbols
from osmia.formats.legacy_code import complete_functions
from osmia.formats.legacy_maps import LegacyMaps, read_maps
from osmia.formats.libbpf import (
    check_bpf,
    map_reader,
    object_name,
    program_at,
    program_of,
    read_btf,
    read_license,
    read_version,
)
from osmia.formats.map_ids import connect, give_tail_call_types
from osmia.object.model import Function, Linkage, Map, Object, Program
from osmia.object.sections import LEGACY_MAPS, TEXT, tail_call_of
from osmia.object.uapi import ProgramType
from osmia.records import replace

DIALECT = "iproute2"

#: iproute2's default sections; "prog" is for XDP and for lightweight tunnels.
_DEFAULT_SECTIONS = {
    "classifier": ProgramType.SCHED_CLS,
    "action": ProgramType.SCHED_ACT,
}


def map_layout(elf: ElfFile) -> str:
    """The struct that describes the maps of the file: "struct bpf_elf_map"; "" without maps."""
    table = read_symbols(elf)
    return _read_maps(table, read_btf(table)).layout


def read_object(
    elf: ElfFile, path: str = "", name: str = "", program_type: ProgramType | None = None
) -> Object:
    """The Object that `elf` says; `program_type` is that of programs whose section tells none.

    Raises ObjectFormatError for anything inconsistent. What tc would pass over in silence
    is a remark.
    """
    check_bpf(elf)
    table = read_symbols(elf)
    complete_functions(table)
    btf = read_btf(table)
    legacy = _read_maps(table, btf)
    remarks = legacy.remarks
    obj = Object(
        name=name or object_name(path),
        path=path,
        byteorder=elf.byteorder,
        license=read_license(elf),
        kernel_version=read_version(elf),
        data_sections=read_data(table, btf),
        externs=read_externs(table, btf),
        other_sections=read_other_sections(table),
        maps=legacy.maps,
        btf=btf,
        dialect=DIALECT,
    )
    declared = map_reader(table, btf)
    if declared is not None:
        _add_declared(obj, legacy.places, *declared.read())
    code = CodeReader(table, obj, _code_info(elf, btf), legacy.places)
    code.read()
    read_pointers(table, obj, legacy.places, code.jump_tables)
    if declared is not None:
        declared.fill_slots(obj.maps, legacy.places, partial(program_at, table, obj), obj.externs)
    obj.programs.update(_programs(table, obj, remarks))
    remarks += connect(obj)
    _give_types(obj, program_type)
    obj.remarks = tuple(remarks)
    return obj


def _read_maps(table: SymbolTable, btf: BTF | None) -> LegacyMaps:
    section = table.elf.section(LEGACY_MAPS)
    if section is None:
        return LegacyMaps()
    legacy = read_maps(table, btf, section)
    if btf is not None:
        legacy.maps, remarks = annotated(legacy.maps, btf)
        legacy.remarks += remarks
    return legacy


def _add_declared(
    obj: Object,
    places: dict[tuple[int, int], str],
    maps: dict[str, Map],
    others: dict[tuple[int, int], str],
) -> None:
    """Maps of `.maps` beside those of `maps`, as libbpf had it before 1.0."""
    for name in obj.maps.keys() & maps.keys():
        raise ObjectFormatError(f"map {name!r} is in 'maps' and in '.maps'", file=obj.path)
    obj.maps |= maps
    places |= others


def _code_info(elf: ElfFile, btf: BTF | None) -> CodeInfo:
    section = elf.section(".BTF.ext")
    return CodeInfo(btf, bytes(section.data) if section is not None else None)


def _programs(table: SymbolTable, obj: Object, remarks: list[str]) -> dict[str, Program]:
    """What stands first in a section is its program, as tc has it. Other global functions that
    nobody calls are programs too, as libbpf had it before 1.0: loaded by themselves where the
    section tells their type."""
    programs = {}
    for code in table.code.values():
        if code.section.name == TEXT or not code.ranges or code.ranges[0].start:
            continue
        key = code.ranges[0].key
        # Nobody but the loader calls it, whatever its symbol says.
        function = replace(obj.functions[key], linkage=Linkage.GLOBAL)
        obj.functions[key] = function
        programs[key] = _program(key, function)
        unused = {place.key for place in code.ranges[1:]} - set(obj.callees(key))
        for name in sorted(unused):
            other = obj.functions[name]
            if other.linkage is Linkage.GLOBAL and tail_call_of(other.section) is None:
                known = program_of(name, other).type is not ProgramType.UNSPEC
                programs[name] = replace(_program(name, other), autoload=known)
            remarks.append(
                f"section {code.section.name!r}: tc runs what stands first, {key!r};"
                f" {name!r} is never reached by it"
            )
    return programs


def _program(key: str, function: Function) -> Program:
    """tc and ip load with no attach type, whatever the section's name."""
    program = replace(program_of(key, function), autoload=True, expected_attach_type=None)
    kind = _DEFAULT_SECTIONS.get(function.section)
    return replace(program, type=kind) if kind is not None else program


def _give_types(obj: Object, program_type: ProgramType | None) -> None:
    give_tail_call_types(obj)
    for name, program in obj.programs.items():
        if program.type is ProgramType.UNSPEC and program_type is not None:
            obj.programs[name] = replace(program, type=program_type)
