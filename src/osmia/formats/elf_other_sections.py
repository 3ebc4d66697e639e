"""Sections of a BPF ELF file that no loader here reads: kept, to be written back as they are."""

from __future__ import annotations

from osmia.elf import Binding, Section, SectionFlag, SectionType, SymbolType
from osmia.formats.elf_jump_tables import SECTION as JUMP_TABLES_SECTION
from osmia.formats.elf_symbols import HIDDEN, SymbolTable
from osmia.object.other_sections import OtherSection, OtherSymbol
from osmia.object.sections import ANNOTATION_SECTION, LEGACY_MAPS

#: Sections that are read for what they say.
_KNOWN = frozenset({"license", "version", ".maps", LEGACY_MAPS, JUMP_TABLES_SECTION})


def read_other_sections(table: SymbolTable) -> dict[str, OtherSection]:
    """Those that have variables, by name."""
    found = {}
    sections = table.elf.sections
    for index in table.by_section:
        if index in table.code or index in table.data or index >= len(sections):
            continue
        section = sections[index]
        symbols = _variables(table, section) if _is_kept(section) else ()
        if symbols:
            writable = bool(section.flags & SectionFlag.WRITE)
            contents, alignment = bytes(section.data), max(section.alignment, 1)
            found[section.name] = OtherSection(section.name, contents, symbols, writable, alignment)
    return found


def _is_kept(section: Section) -> bool:
    """Whether it would be in memory, has contents, and is not read for what it says."""
    if section.name in _KNOWN or section.name.startswith(ANNOTATION_SECTION):
        return False
    kept = section.type == SectionType.PROGBITS and section.flags & SectionFlag.ALLOC
    code = section.flags & SectionFlag.EXECINSTR
    return bool(kept and not code and len(section.data))


def _variables(table: SymbolTable, section: Section) -> tuple[OtherSymbol, ...]:
    return tuple(
        OtherSymbol(
            each.name,
            each.value,
            each.size,
            each.binding is Binding.LOCAL,
            each.binding is Binding.WEAK,
            each.visibility in HIDDEN,
        )
        for each in table.by_section.get(section.index, ())
        if each.type is SymbolType.OBJECT and each.name
    )
