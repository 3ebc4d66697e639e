"""Front end for ELF objects in libbpf's dialect: BTF-defined maps, SEC() programs."""

from __future__ import annotations

import struct
from functools import partial

from osmia.btf import BTF, Kind
from osmia.btf.patch import corrected
from osmia.elf import EM_BPF, ElfFile, FileType, Section
from osmia.errors import ObjectFormatError
from osmia.formats.btf_maps import MAPS_SECTION, MapReader
from osmia.formats.code_info import CodeInfo
from osmia.formats.elf_code import CodeReader
from osmia.formats.elf_data import read_data, read_externs, section_layouts
from osmia.formats.elf_other_sections import read_other_sections
from osmia.formats.elf_pointers import read_pointers
from osmia.formats.elf_symbols import SymbolTable, read_symbols
from osmia.formats.exception_callbacks import read_exception_callbacks
from osmia.formats.map_ids import connect, give_tail_call_types
from osmia.object.model import Function, Linkage, Object, Program
from osmia.object.sections import TEXT, find_section
from osmia.object.uapi import ProgramType

#: What the kernel's license buffer takes (kernel/bpf/syscall.c, bpf_prog_load).
MAX_LICENSE = 128
MAX_OBJECT_NAME = 15
#: What was linked: `elf_parts`, which is imported where there is one.
PARTS_SECTION = ".debug_osmia_parts"


def object_name(path: str) -> str:
    """The name that internal maps get: the file's name up to the first dot, 15 characters."""
    return path.rpartition("/")[2].partition(".")[0][:MAX_OBJECT_NAME]


def read_object(elf: ElfFile, path: str = "", name: str = "") -> Object:
    """The Object that `elf` says. Raises ObjectFormatError for anything inconsistent."""
    check_bpf(elf)
    if has_older_maps(elf):
        raise ObjectFormatError(
            "section 'maps' holds maps of an older dialect (struct bpf_elf_map); open the file"
            ' with dialect="iproute2"',
            file=elf.name,
        )
    table = read_symbols(elf)
    _refuse_other_maps(elf)
    btf = read_btf(table)
    obj = Object(
        name=name or object_name(path),
        path=path,
        byteorder=elf.byteorder,
        license=read_license(elf),
        kernel_version=read_version(elf),
        data_sections=read_data(table, btf),
        externs=read_externs(table, btf),
        other_sections=read_other_sections(table),
        btf=btf,
    )
    maps = map_reader(table, btf)
    places: dict[tuple[int, int], str] = {}
    if maps is not None:
        found, places = maps.read()
        obj.maps.update(found)
    code = CodeReader(table, obj, _code_info(elf, btf), places)
    code.read()
    if maps is not None:
        maps.fill_slots(obj.maps, places, partial(program_at, table, obj), obj.externs)
    read_pointers(table, obj, places, code.jump_tables)
    obj.programs.update(_programs(obj))
    read_exception_callbacks(obj)
    _connect_ids(obj)
    _make_hidden_static(obj)
    if elf.section(PARTS_SECTION) is not None:
        from osmia.formats.elf_parts import read_parts

        obj.parts = read_parts(elf, obj)
    return obj


def _refuse_other_maps(elf: ElfFile) -> None:
    """Sections of gobpf (github.com/iovisor/gobpf): one a map, `maps/NAME`."""
    for section in elf.sections:
        if section.name.startswith("maps/"):
            raise ObjectFormatError(
                f"section {section.name!r} holds a map as gobpf declares them (its struct"
                " bpf_map_def has 280 bytes), which is not read; declare it in '.maps'",
                file=elf.name,
            )


def has_older_maps(elf: ElfFile) -> bool:
    """Whether the file has maps in the way of iproute2's dialect."""
    return elf.section("maps") is not None


def check_bpf(elf: ElfFile) -> None:
    """Refuse what is no relocatable BPF file. Old compilers write machine 0 (EM_NONE)."""
    if elf.machine not in (EM_BPF, 0):
        raise ObjectFormatError(
            f"an ELF file for machine {elf.machine}, not for BPF ({EM_BPF})", file=elf.name
        )
    if elf.type != FileType.REL:
        raise ObjectFormatError(f"ELF type {elf.type}, not a relocatable object", file=elf.name)


def read_btf(table: SymbolTable) -> BTF | None:
    """The file's BTF with the layout of its data sections filled in."""
    section = table.elf.section(".BTF")
    if section is None:
        return None
    btf = BTF(bytes(section.data), name=f"{table.elf.name}: .BTF")
    return corrected(btf, section_layouts(table))


def read_license(elf: ElfFile) -> str:
    """The text of section `license`, "" without one."""
    section = elf.section("license")
    if section is None:
        return ""
    text = bytes(section.data).partition(b"\0")[0]
    if len(text) >= MAX_LICENSE:
        raise ObjectFormatError(
            f"a license of {len(text)} bytes; the kernel takes {MAX_LICENSE - 1}", file=elf.name
        )
    return text.decode("utf-8", "replace")


def read_version(elf: ElfFile) -> int:
    """The number in section `version` (LINUX_VERSION_CODE), 0 without one."""
    section = elf.section("version")
    if section is None:
        return 0
    if len(section.data) != 4:
        length = len(section.data)
        raise ObjectFormatError(f"section 'version' has {length} bytes, not 4", file=elf.name)
    order = "<" if elf.byteorder == "little" else ">"
    (version,) = struct.unpack(f"{order}I", section.data)
    return int(version)


def map_reader(table: SymbolTable, btf: BTF | None) -> MapReader | None:
    """Who reads the file's `.maps`; None where there is no such section."""
    section: Section | None = table.elf.section(MAPS_SECTION)
    if section is None:
        return None
    if btf is None:
        raise ObjectFormatError(
            f"section {MAPS_SECTION!r} has no BTF; compile with -g", file=table.elf.name
        )
    return MapReader(table, btf, section)


def _code_info(elf: ElfFile, btf: BTF | None) -> CodeInfo:
    section = elf.section(".BTF.ext")
    return CodeInfo(btf, bytes(section.data) if section is not None else None)


def program_at(table: SymbolTable, obj: Object, section: int, offset: int) -> str | None:
    """The function outside `.text` that begins there."""
    code = table.code.get(section)
    place = code.starting_at(offset) if code is not None else None
    function = obj.functions.get(place.key) if place is not None else None
    return place.key if place and function and function.section != TEXT else None


def _programs(obj: Object) -> dict[str, Program]:
    """The functions outside `.text`: each an entry, with what its section's name says."""
    programs = {}
    for key, function in obj.functions.items():
        if function.section == TEXT:
            continue
        if function.linkage is Linkage.STATIC:
            raise ObjectFormatError(
                f"program {function.name!r} in {function.section!r} is static", file=obj.path
            )
        programs[key] = program_of(key, function)
    return programs


def program_of(key: str, function: Function) -> Program:
    """A program from its function and section; type UNSPEC where the table lacks the name.

    Such a program cannot be loaded until somebody says its type.
    """
    section = function.section.removeprefix("?")
    autoload = section == function.section
    found = find_section(section)
    if found is None:
        return Program(key, key, function.section, ProgramType.UNSPEC, autoload=autoload)
    row, target = found
    return Program(
        name=key,
        function=key,
        section=function.section,
        type=row.type,
        expected_attach_type=row.attach_type,
        attach_to=target,
        flags=int(row.flags),
        autoload=autoload,
        # A name without a target is for programs that are told theirs when they are attached.
        auto_attach=row.auto_attach and (bool(target) or row.attach_btf),
    )


def _connect_ids(obj: Object) -> None:
    """`id`, `inner_id` and `inner_idx` of maps, and the sections that name an id."""
    if not any(each.attributes for each in obj.maps.values()):
        return
    obj.remarks = tuple(connect(obj))
    give_tail_call_types(obj)


def _make_hidden_static(obj: Object) -> None:
    """Hidden subprograms are verified as static ones: with their callers' state."""
    if obj.btf is None:
        return
    hidden = [
        function.btf_id
        for key, function in obj.functions.items()
        if function.hidden
        and key not in obj.programs
        and obj.btf.kind_of(function.btf_id) == Kind.FUNC
    ]
    if hidden:
        obj.btf = corrected(obj.btf, {}, hidden)
