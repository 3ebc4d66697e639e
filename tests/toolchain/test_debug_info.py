"""DWARF goes, everything else stays as the compiler wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from osmia import toolchain
from osmia.elf import ElfFile
from osmia.errors import ObjectFormatError
from osmia.toolchain import Compiler
from osmia.toolchain.debug_info import strip_debug_info

pytestmark = pytest.mark.slow

SOURCES = Path(__file__).parent / "sources"


def symbols(elf: ElfFile) -> set[tuple[object, ...]]:
    """Named symbols, by what they mean."""
    return {
        (s.name, s.value, s.size, s.binding, s.type, s.visibility, place(elf, s.section))
        for s in elf.symbols
        if s.name and not place(elf, s.section).startswith(".debug")
    }


def place(elf: ElfFile, index: int) -> str:
    return elf.sections[index].name if index < len(elf.sections) else hex(index)


def relocations(elf: ElfFile, name: str) -> list[tuple[object, ...]]:
    section = elf.section(name)
    assert section is not None
    found = ((each, elf.symbols[each.symbol]) for each in elf.relocations(section))
    return [(e.offset, e.type, s.name or place(elf, s.section), s.value) for e, s in found]


@pytest.mark.parametrize("name", ["tail_calls", "externs", "global_functions", "bitfields"])
@pytest.mark.parametrize("target", ["bpfel", "bpfeb"])
def test_all_but_dwarf_is_the_same(name: str, target: str, zig: Compiler) -> None:
    source = SOURCES / f"{name}.bpf.c"
    whole, stripped = (
        ElfFile.parse(
            toolchain.compile(source, compiler=zig, target=target, dwarf=dwarf).data  # type: ignore[arg-type]
        )
        for dwarf in (True, False)
    )
    assert any(section.name.startswith(".debug") for section in whole.sections)
    assert not any(section.name.startswith(".debug") for section in stripped.sections)
    assert symbols(stripped) == symbols(whole)
    for section in stripped.sections:
        if section.type not in (0, 2, 3, 9):
            before = whole.section(section.name)
            assert before is not None
            assert bytes(section.data) == bytes(before.data)
            assert (section.type, section.flags, section.size, section.alignment) == (
                (before.type, before.flags, before.size, before.alignment)
            )
            assert relocations(stripped, section.name) == relocations(whole, section.name)


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ObjectFormatError):
        strip_debug_info(b"no ELF")
