"""Addresses in data: read as what they name, written again, and bounded."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

import osmia
from osmia.elf import (
    EM_BPF,
    R_BPF_64_64,
    R_BPF_64_ABS32,
    R_BPF_64_ABS64,
    Binding,
    ElfWriter,
    SectionFlag,
    SectionType,
    SymbolType,
)
from osmia.errors import ObjectFormatError, RelocationError
from osmia.formats.elf_writer import write_object
from osmia.object import DataKind, DataSection, Extern, ExternKind, Object, Relocation
from osmia.object.model import RelocationKind

DATA, FUNCTION, EXTERN = RelocationKind.DATA, RelocationKind.FUNCTION, RelocationKind.EXTERN
ALLOCATED = SectionFlag.ALLOC | SectionFlag.WRITE


@pytest.fixture(scope="module")
def obj() -> Object:
    return osmia.compile(Path(__file__).with_name("pointers.bpf.c"))


def pointer(obj: Object, name: str) -> Relocation:
    """The relocation of a variable."""
    for section in obj.data_sections.values():
        if name in section.variables:
            at = section.variables[name].offset
            (found,) = (r for r in section.relocations if r.offset == at)
            return found
    raise KeyError(name)


def place(obj: Object, name: str, beyond: int = 0) -> tuple[RelocationKind, str, int]:
    """How a pointer to a variable looks."""
    (section,) = (s for s in obj.data_sections.values() if name in s.variables)
    return DATA, section.name, section.variables[name].offset + beyond


def test_pointers_name_what_they_point_to(obj: Object) -> None:
    assert pointer(obj, "where")[1:4] == place(obj, "table", 8)
    assert pointer(obj, "first")[1:4] == place(obj, "last")
    assert pointer(obj, "names")[1:4] == place(obj, "one")
    assert pointer(obj, "map")[1:4] == (RelocationKind.MAP, "counts", 0)
    assert pointer(obj, "version")[1:4] == (EXTERN, "LINUX_KERNEL_VERSION", 0)
    assert pointer(obj, "function")[1:4] == (FUNCTION, "twice", 0)
    assert all(r.size == 8 for s in obj.data_sections.values() for r in s.relocations)


def test_a_pointer_to_what_is_no_part_of_an_object_is_left_out(obj: Object) -> None:
    data = obj.data_sections[".data"]
    at = data.variables["text"].offset
    assert at not in {r.offset for r in data.relocations}


def test_what_is_written_is_read_again(obj: Object) -> None:
    again = osmia.open(write_object(obj))
    assert again.data_sections == obj.data_sections


def test_edited_pointers_are_written_too(obj: Object) -> None:
    edited = obj.copy()
    section = edited.data_sections[".data"]
    where = section.variables["where"].offset
    section.relocations = tuple(
        r._replace(addend=r.addend - 4) if r.offset == where else r for r in section.relocations
    )
    again = osmia.open(write_object(edited))
    assert pointer(again, "where")[1:4] == place(obj, "table", 4)


@pytest.mark.parametrize(
    ("relocation", "problem"),
    [
        (Relocation(0, DATA, ".lost"), "there is no data '.lost'"),
        (Relocation(0, FUNCTION, "lost"), "there is no function 'lost'"),
        (Relocation(0, RelocationKind.MAP, "lost"), "there is no map 'lost'"),
        (Relocation(0, RelocationKind.CALL, "lost"), "there is no call 'lost'"),
        (Relocation(12, DATA, ".data"), "no address of 8 bytes at 12"),
        (Relocation(-8, DATA, ".data"), "no address of 8 bytes at -8"),
        (Relocation(0, DATA, ".data", 0, 2), "no address of 2 bytes at 0"),
        (Relocation(0, DATA, ".data", 1 << 32, 4), "no address of 4 bytes"),
    ],
)
def test_what_cannot_be_written_is_refused(relocation: Relocation, problem: str) -> None:
    section = DataSection(".data", DataKind.DATA, bytearray(16), relocations=(relocation,))
    with pytest.raises(RelocationError, match=problem):
        write_object(Object("odd", data_sections={".data": section}))


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize("size", [4, 8])
def test_addresses_have_a_width_and_an_order(byteorder: str, size: int) -> None:
    relocations = (
        Relocation(8, DATA, ".data", 12, size),
        Relocation(16, EXTERN, "there", -1, size),
        Relocation(24, DATA, ".bss", 0, size),
    )
    sections = {
        ".data": DataSection(".data", DataKind.DATA, bytearray(32), relocations=relocations),
        ".bss": DataSection(".bss", DataKind.BSS, bytearray(8)),
    }
    externs = {"there": Extern("there", ExternKind.OBJECT)}
    obj = Object("wide", byteorder=byteorder, data_sections=sections, externs=externs)
    again = osmia.open(write_object(obj))
    assert again.data_sections[".data"].relocations == relocations
    contents = again.data_sections[".data"].contents
    told = bytes(contents[8 : 8 + size])
    assert int.from_bytes(told, "little" if byteorder == "little" else "big") == 12
    assert not any(contents[8 + size : 16])


def file_with(
    offset: int,
    kind: int,
    addend: int | None = None,
    *,
    section_type: SectionType = SectionType.PROGBITS,
) -> bytes:
    """A file whose `.data` of 16 bytes has an address of `target`, 8 bytes into `.bss`."""
    writer = ElfWriter(machine=EM_BPF)
    bss = writer.add_section(".bss", SectionType.NOBITS, ALLOCATED, size=16)
    contents = bytes(8) + struct.pack("<q", 4) if section_type is SectionType.PROGBITS else b""
    data = writer.add_section(".data", section_type, ALLOCATED, contents, size=16)
    target = writer.add_symbol("target", 8, 8, Binding.GLOBAL, SymbolType.OBJECT, section=bss)
    writer.add_relocation(data, offset, target, kind, addend)
    return writer.to_bytes()


def test_what_stands_at_the_place_is_added_or_what_the_relocation_says() -> None:
    in_place = osmia.open(file_with(8, R_BPF_64_ABS64))
    assert in_place.data_sections[".data"].relocations == (Relocation(8, DATA, ".bss", 12),)
    told = osmia.open(file_with(8, R_BPF_64_ABS64, -8))
    assert told.data_sections[".data"].relocations == (Relocation(8, DATA, ".bss", 0),)
    zeros = osmia.open(file_with(8, R_BPF_64_ABS64, section_type=SectionType.NOBITS))
    assert zeros.data_sections[".data"].relocations == (Relocation(8, DATA, ".bss", 8),)


def test_what_old_compilers_write_is_read() -> None:
    (found,) = osmia.open(file_with(8, R_BPF_64_64)).data_sections[".data"].relocations
    assert found == Relocation(8, DATA, ".bss", 12)
    assert not osmia.open(file_with(8, 77)).data_sections[".data"].relocations


@pytest.mark.parametrize(("offset", "kind"), [(9, R_BPF_64_ABS64), (13, R_BPF_64_ABS32)])
def test_an_address_that_ends_behind_its_section_is_refused(offset: int, kind: int) -> None:
    with pytest.raises(ObjectFormatError, match=r"'\.data': an address ends behind the section"):
        osmia.open(file_with(offset, kind))
