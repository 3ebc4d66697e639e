"""Sections that nobody here reads, written as they were: see `elf_other_sections`."""

from __future__ import annotations

from osmia.elf import ElfWriter, SectionFlag, SectionType, SymbolType
from osmia.formats.elf_symbol_writer import Definition, SymbolWriter
from osmia.object.model import Linkage, Object


def write_other_sections(obj: Object, elf: ElfWriter, symbols: SymbolWriter) -> None:
    """Add them to a file, with their variables' symbols."""
    for section in obj.other_sections.values():
        flags = SectionFlag.ALLOC | (SectionFlag.WRITE if section.writable else 0)
        index = elf.add_section(
            section.name,
            SectionType.PROGBITS,
            flags,
            section.contents,
            alignment=section.alignment,
        )
        for each in section.symbols:
            linkage = Linkage.STATIC if each.static else Linkage.GLOBAL
            definition = Definition(
                each.name,
                each.offset,
                each.size,
                SymbolType.OBJECT,
                index,
                linkage,
                each.weak,
                each.hidden,
            )
            symbols.define({}, each.name, definition)
