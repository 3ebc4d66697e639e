"""ElfFile on real files: what it says is what the compiler, readelf and the kernel say."""

from __future__ import annotations

import ctypes
import mmap
import re
import subprocess
from pathlib import Path

import pytest

from osmia.elf import (
    EM_BPF,
    R_BPF_64_32,
    R_BPF_64_64,
    SHN_ABS,
    SHN_UNDEF,
    Binding,
    ElfFile,
    FileType,
    Section,
    SectionFlag,
    SectionType,
    Symbol,
    SymbolType,
    Visibility,
)
from osmia.errors import ObjectFormatError

ORDERS = ["little", "big"]


@pytest.fixture(params=ORDERS)
def file(request: pytest.FixtureRequest, objects: dict[str, Path]) -> ElfFile:
    path = objects[request.param]
    return ElfFile.parse(path.read_bytes(), path.name)


def _section(file: ElfFile, name: str) -> Section:
    section = file.section(name)
    assert section is not None
    return section


def _symbol(file: ElfFile, name: str) -> Symbol:
    (symbol,) = (symbol for symbol in file.symbols if symbol.name == name)
    return symbol


@pytest.mark.parametrize("order", ORDERS)
def test_header(objects: dict[str, Path], order: str) -> None:
    file = ElfFile.parse(objects[order].read_bytes(), "a.o")
    assert (file.byteorder, file.machine, file.type) == (order, EM_BPF, FileType.REL)
    assert file.name == "a.o"


def test_index_zero_is_the_null_section_and_the_null_symbol(file: ElfFile) -> None:
    assert file.sections[0].type == SectionType.NULL
    assert file.symbols[0] == Symbol(
        0, "", 0, 0, Binding.LOCAL, SymbolType.NOTYPE, Visibility.DEFAULT, SHN_UNDEF
    )


def test_section_data_is_a_view_of_the_file(file: ElfFile) -> None:
    license_section = _section(file, "license")
    assert bytes(license_section.data) == b"GPL\0"
    assert license_section.data.obj is file.data.obj
    assert license_section.data.readonly
    assert bytes(file.data[license_section.offset :][:4]) == b"GPL\0"


def test_nobits_section_has_a_size_and_no_data(file: ElfFile) -> None:
    bss = _section(file, ".bss")
    assert (bss.type, bss.size, len(bss.data)) == (SectionType.NOBITS, 4, 0)


def test_flags_tell_code_from_data(file: ElfFile) -> None:
    assert _section(file, "xdp").flags == SectionFlag.ALLOC | SectionFlag.EXECINSTR
    assert _section(file, ".data").flags == SectionFlag.ALLOC | SectionFlag.WRITE
    assert _section(file, ".rodata").flags == SectionFlag.ALLOC


def test_a_name_that_no_section_has(file: ElfFile) -> None:
    assert file.section("nowhere") is None


def test_symbols_say_where_they_are_and_who_sees_them(file: ElfFile) -> None:
    sub = _symbol(file, "sub")
    assert (sub.type, sub.binding, sub.is_defined) == (SymbolType.FUNC, Binding.GLOBAL, True)
    assert file.sections[sub.section].name == ".text"
    weak = _symbol(file, "weak_hidden")
    assert (weak.binding, weak.visibility) == (Binding.WEAK, Visibility.HIDDEN)
    assert weak.value == sub.value + sub.size
    assert _symbol(file, "elsewhere").section == SHN_UNDEF
    assert not _symbol(file, "elsewhere").is_defined
    source = next(symbol for symbol in file.symbols if symbol.type is SymbolType.FILE)
    assert (source.name, source.section) == ("object.bpf.c", SHN_ABS)


def test_relocations_of_a_section_are_its_own_in_order(file: ElfFile) -> None:
    named = [
        (file.symbols[relocation.symbol].name, relocation.type, relocation.addend)
        for relocation in file.relocations(_section(file, "xdp"))
    ]
    assert named == [("counts", R_BPF_64_64, None), ("sub", R_BPF_64_32, None)]
    offsets = [relocation.offset for relocation in file.relocations(_section(file, ".text"))]
    assert len(offsets) == 4
    assert offsets == sorted(offsets)
    assert list(file.relocations(_section(file, "license"))) == []


@pytest.mark.parametrize("order", ORDERS)
def test_readelf_agrees_on_sections(objects: dict[str, Path], order: str) -> None:
    output = _readelf("-SW", objects[order])
    rows = re.findall(r"^ +\[ *(\d+)\] (.*?) +[A-Z_]\w+ +(\w+) (\w+) (\w+) (\w\w) ", output, re.M)
    file = ElfFile.parse(objects[order].read_bytes())
    ours = [(s.index, s.name, s.address, s.offset, s.size, s.entry_size) for s in file.sections]
    theirs = [(int(i), name, *(int(n, 16) for n in numbers)) for i, name, *numbers in rows]
    named = [row for row in ours if row[1] and row[1] != ".llvm_addrsig"]
    assert named == [row for row in theirs if row[1] and row[1] != ".llvm_addrsig"]


@pytest.mark.parametrize("order", ORDERS)
def test_readelf_agrees_on_symbols(objects: dict[str, Path], order: str) -> None:
    pattern = r"^ *(\d+): (\w+) +(\d+) (\w+) +(\w+) +(\w+) +(\w+) ?(.*)$"
    rows = re.findall(pattern, _readelf("-sW", objects[order]), re.M)
    special = {SHN_UNDEF: "UND", SHN_ABS: "ABS"}
    file = ElfFile.parse(objects[order].read_bytes())
    ours = [
        (
            str(s.index),
            f"{s.value:016x}",
            str(s.size),
            s.type.name,
            s.binding.name,
            s.visibility.name,
            special.get(s.section, str(s.section)),
            file.sections[s.section].name if s.type is SymbolType.SECTION else s.name,
        )
        for s in file.symbols
    ]
    assert ours == rows


@pytest.mark.parametrize("order", ORDERS)
def test_readelf_agrees_on_relocations(objects: dict[str, Path], order: str) -> None:
    rows = re.findall(r"^([0-9a-f]{16}) +([0-9a-f]{16}) ", _readelf("-rW", objects[order]), re.M)
    file = ElfFile.parse(objects[order].read_bytes())
    ours = [
        (f"{r.offset:016x}", f"{r.symbol << 32 | r.type:016x}")
        for section in file.sections
        for r in file.relocations(section)
    ]
    assert sorted(ours) == sorted(rows)


def test_a_mapped_file_reads_like_bytes(objects: dict[str, Path]) -> None:
    with objects["little"].open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ)
    file = ElfFile.parse(mapped)
    assert bytes(_section(file, "license").data) == b"GPL\0"
    assert file.symbols == ElfFile.parse(bytes(mapped)).symbols


def test_a_shared_library_tells_where_a_function_is_in_the_file() -> None:
    address = ctypes.cast(ctypes.CDLL(None).malloc, ctypes.c_void_p).value
    assert address is not None
    mapping = r"^(\w+)-(\w+) \S+ (\w+) \S+ \d+ +(/.+)$"
    for line in Path("/proc/self/maps").read_text().splitlines():
        match = re.match(mapping, line)
        if match and int(match[1], 16) <= address < int(match[2], 16):
            expected = address - int(match[1], 16) + int(match[3], 16)
            library = ElfFile.parse(Path(match[4]).read_bytes())
            break
    (malloc,) = (symbol for symbol in library.dynamic_symbols if symbol.name == "malloc")
    assert library.file_offset(malloc.value) == expected
    assert library.file_offset(1 << 60) is None
    assert library.type == FileType.DYN


@pytest.mark.parametrize(
    ("position", "value", "fault"),
    [
        (0, 0, "not an ELF file"),
        (4, 1, "not a 64-bit ELF file"),
        (5, 3, "unknown ELF byte order 3"),
        (6, 2, "unknown ELF version 2"),
    ],
)
def test_other_files_are_refused(little: bytes, position: int, value: int, fault: str) -> None:
    data = bytearray(little)
    data[position] = value
    with pytest.raises(ObjectFormatError, match=f"^a.o: {fault} ") as caught:
        ElfFile.parse(data, "a.o")
    assert caught.value.offset == position


@pytest.mark.parametrize("data", [b"", b"\x7fEL", b"#include <linux/bpf.h>\n" * 9])
def test_a_file_that_is_no_elf(data: bytes) -> None:
    with pytest.raises(ObjectFormatError, match="not an ELF file"):
        ElfFile.parse(data)


def test_a_header_alone_is_truncated(little: bytes) -> None:
    with pytest.raises(ObjectFormatError, match="truncated ELF header"):
        ElfFile.parse(little[:63])


def _readelf(option: str, path: Path) -> str:
    command = ["readelf", option, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
