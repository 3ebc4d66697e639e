"""Take DWARF out of an object: the compiler makes BTF from it, and nothing reads it after.

It is most of an object's size: nine tenths where vmlinux.h is included.
"""

from __future__ import annotations

from osmia.elf import ElfFile, ElfWriter, Section, SymbolHandle
from osmia.elf.format import SHN_ABS, SHN_COMMON, SHN_UNDEF, SectionType, SymbolType
from osmia.errors import ObjectFormatError

# What the writer makes anew from what is kept.
_TABLES = frozenset(
    {
        SectionType.NULL,
        SectionType.SYMTAB,
        SectionType.STRTAB,
        SectionType.REL,
        SectionType.RELA,
    }
)
_NO_SECTION = frozenset({SHN_UNDEF, SHN_ABS, SHN_COMMON})


def strip_debug_info(data: bytes) -> bytes:
    """The object without DWARF sections and what refers to them; BTF stays.

    Raises `ObjectFormatError` for what is no ELF file.
    """
    elf = ElfFile.parse(data)
    writer = ElfWriter(machine=elf.machine, flags=elf.flags, byteorder=elf.byteorder)
    sections = {each.index: _copy_section(writer, each) for each in elf.sections if _is_kept(each)}
    symbols = _copy_symbols(writer, elf, sections)
    for old, new in sections.items():
        _copy_relocations(writer, elf, old, new, symbols)
    return writer.to_bytes()


def _is_kept(section: Section) -> bool:
    # .llvm_addrsig holds symbol indexes, which change; it is for native linkers.
    return section.type not in _TABLES and not section.name.startswith((".debug", ".llvm_addrsig"))


def _copy_section(writer: ElfWriter, section: Section) -> int:
    return writer.add_section(
        section.name,
        section.type,
        section.flags,
        section.data,
        size=section.size,
        alignment=section.alignment or 1,
        entry_size=section.entry_size,
    )


def _copy_symbols(
    writer: ElfWriter, elf: ElfFile, sections: dict[int, int]
) -> dict[int, SymbolHandle]:
    """Copy the symbols of kept sections; what they are now, by what they were."""
    return {
        symbol.index: writer.add_symbol(
            "" if symbol.type == SymbolType.SECTION else symbol.name,
            symbol.value,
            symbol.size,
            symbol.binding,
            symbol.type,
            symbol.visibility,
            sections.get(symbol.section, symbol.section),
        )
        for symbol in elf.symbols[1:]
        if symbol.section in sections or symbol.section in _NO_SECTION
    }


def _copy_relocations(
    writer: ElfWriter, elf: ElfFile, old: int, new: int, symbols: dict[int, SymbolHandle]
) -> None:
    section = elf.sections[old]
    for each in elf.relocations(section):
        symbol = symbols.get(each.symbol)
        if symbol is None:
            what = f"section {section.name!r} refers to debug information"
            raise ObjectFormatError(what, offset=each.offset)
        writer.add_relocation(new, each.offset, symbol, each.type, each.addend)
