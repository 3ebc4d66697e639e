"""Read ELF files: sections, symbols, relocations, segments.

Files are not trusted. Every offset and count is checked against the file's size before
it is used, nothing is copied but names, and the work is linear in the file's size. What
does not hold raises `ObjectFormatError` with the offset in the file.
"""

from __future__ import annotations

import mmap
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import attrgetter, itemgetter

from osmia.arguments import names_wrong_arguments
from osmia.elf.format import (
    BYTE_ORDERS,
    CLASS_32,
    CLASS_64,
    IDENT_SIZE,
    MAGIC,
    PN_XNUM,
    REL_SIZE,
    RELA_SIZE,
    SHN_LORESERVE,
    SHN_XINDEX,
    VERSION_CURRENT,
    Binding,
    FileType,
    Layouts,
    SectionType,
    SymbolType,
    Visibility,
    layouts,
)
from osmia.elf.model import ElfRelocation, Section, Segment, Symbol
from osmia.elf.strings import StringTable
from osmia.errors import ObjectFormatError
from osmia.kept_values import kept_value

_PT_LOAD = 1
_WITHOUT_DATA = (int(SectionType.NULL), int(SectionType.NOBITS))
_RELOCATIONS = (int(SectionType.REL), int(SectionType.RELA))

# Enum calls cost more than the rest of a symbol; indexing a tuple does not.
_BINDINGS = tuple(Binding(n) if n in set(Binding) else None for n in range(16))
_SYMBOL_TYPES = tuple(SymbolType(n) if n in set(SymbolType) else None for n in range(16))
_VISIBILITIES = tuple(Visibility(n) for n in range(4))
#: What the named tuples' own constructor calls: half of what one of them costs.
_new = tuple.__new__
_offset = attrgetter("offset")


class ElfFile:
    """An ELF file of any machine and either byte order; ELF64 unless `parse` is told otherwise.

    Made by `ElfFile.parse`. Views into the input (`data`, `Section.data`) stay valid
    as long as the input does; an `mmap` cannot be closed while they are alive.
    """

    def __init__(self, data: memoryview, name: str, classes: Sequence[int]) -> None:
        self.name = name
        self.data = data
        if len(data) < IDENT_SIZE or data[:4] != MAGIC:
            raise self._error("not an ELF file" if data[:4] != MAGIC else "truncated ELF header", 0)
        if data[4] not in classes:
            raise self._error("not a 64-bit ELF file", 4)
        if data[5] not in BYTE_ORDERS:
            raise self._error(f"unknown ELF byte order {data[5]}", 5)
        if data[6] != VERSION_CURRENT:
            raise self._error(f"unknown ELF version {data[6]}", 6)
        self.byteorder = BYTE_ORDERS[data[5]]
        self._layouts: Layouts = layouts(self.byteorder, data[4])
        if len(data) < IDENT_SIZE + self._layouts.header.size:
            raise self._error("truncated ELF header", 0)
        (
            self.type,
            self.machine,
            _,
            self.entry,
            self._segments_offset,
            self._sections_offset,
            self.flags,
            _,
            self._segment_entry_size,
            self._segment_count,
            self._section_entry_size,
            self._section_count,
            self._names_index,
        ) = self._layouts.header.unpack_from(data, IDENT_SIZE)
        self.sections = self._read_sections()
        if self.type == FileType.REL:
            self._refuse_overlap()

    @classmethod
    @names_wrong_arguments
    def parse(
        cls,
        data: bytes | bytearray | memoryview | mmap.mmap,
        name: str = "",
        *,
        allow_32_bit: bool = False,
    ) -> ElfFile:
        """Read a file's contents; `name` stands in errors. With `allow_32_bit` ELF32 is read
        too: programs and libraries, of which no relocations are told.

        Symbols and relocations are read, and found faulty, when first asked for.
        Raises `ObjectFormatError`.
        """
        classes = (CLASS_64, CLASS_32) if allow_32_bit else (CLASS_64,)
        return cls(memoryview(data).cast("B").toreadonly(), name, classes)

    @property
    def is_64_bit(self) -> bool:
        """Whether addresses have 64 bits (ELFCLASS64)."""
        return self.data[4] == CLASS_64

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        return self._sections_by_name.get(name)

    @kept_value
    def symbols(self) -> list[Symbol]:
        """The symbols of `.symtab`, in file order; index 0 is the null symbol. Empty if none."""
        return self._read_symbols(SectionType.SYMTAB)

    @kept_value
    def dynamic_symbols(self) -> list[Symbol]:
        """The symbols of `.dynsym`: what a stripped executable or library still tells."""
        return self._read_symbols(SectionType.DYNSYM)

    def relocations(self, section: Section) -> Sequence[ElfRelocation]:
        """The relocations that apply to `section`, sorted by offset.

        Only relocatable files (ET_REL) have any. Raises `ObjectFormatError` for one that
        is outside of the section or names no symbol.
        """
        found: list[ElfRelocation] = []
        for table in self._relocation_tables.get(section.index, ()):
            found += self._read_relocations(table, section)
        if found:
            found.sort(key=_offset)
        return found

    @kept_value
    def segments(self) -> list[Segment]:
        """What is loaded into memory, by address; empty for a relocatable file."""
        count = self._segment_count
        if count == PN_XNUM and self.sections:
            count = self.sections[0].info
        layout, order = self._layouts.segment, self._layouts.segment_order
        table = self._table(
            self._segments_offset, count, layout.size, self._segment_entry_size, "segment"
        )
        segments = [
            Segment(flags, offset, address, file_size, memory_size)
            for kind, flags, offset, address, _, file_size, memory_size, _ in (
                _ordered(layout.iter_unpack(table), order)
            )
            if kind == _PT_LOAD
        ]
        return sorted(segments, key=attrgetter("address"))

    def file_offset(self, address: int) -> int | None:
        """Where in the file the byte at `address` of the loaded image is; None if nowhere.

        This is what a uprobe needs of a symbol's value.
        """
        segments = self.segments
        place = bisect_right(segments, address, key=attrgetter("address")) - 1
        if place < 0 or address >= segments[place].address + segments[place].file_size:
            return None
        return segments[place].offset + address - segments[place].address

    def _error(self, message: str, offset: int | None = None) -> ObjectFormatError:
        return ObjectFormatError(message, file=self.name or None, offset=offset)

    def _table(self, offset: int, count: int, size: int, stated: int, what: str) -> memoryview:
        """The bytes of a table of `count` entries, if the file has them all."""
        if count == 0:
            return self.data[:0]
        if stated != size:
            raise self._error(f"{what} headers of {stated} bytes instead of {size}")
        if offset + count * size > len(self.data):
            raise self._error(f"{count} {what} headers end past the end of the file", offset)
        return self.data[offset : offset + count * size]

    def _read_sections(self) -> list[Section]:
        headers = self._section_headers()
        if not headers:
            return []
        names_index = self._names_index
        if names_index == SHN_XINDEX:
            names_index = headers[0][6]  # sh_link of the null section
        if names_index >= len(headers):
            raise self._error(f"section names are in section {names_index}, which is not there", 62)
        # Index 0, the null section, means that no section has a name.
        _, kind, _, _, offset, size, *_ = headers[names_index]
        view = self._contents(names_index, kind, offset, size)
        kind = kind if names_index else SectionType.STRTAB
        names = self._string_table(names_index, kind, offset, view)
        sections, data, end = [], self.data, len(self.data)
        for index, header in enumerate(headers):
            name, kind, _, _, offset, size, _, _, alignment, _ = header
            if alignment & (alignment - 1):
                raise self._error(f"section {index} has alignment {alignment}, not a power of two")
            if size and kind not in _WITHOUT_DATA and offset + size <= end:
                view = data[offset : offset + size]
            else:
                view = self._contents(index, kind, offset, size)
            sections.append(_new(Section, (index, names[name], *header[1:], view)))
        return sections

    def _contents(self, index: int, kind: int, offset: int, size: int) -> memoryview:
        """The bytes of a section, if the file has them all."""
        if size == 0 or kind in _WITHOUT_DATA:
            return self.data[:0]
        if offset + size > len(self.data):
            raise self._error(f"section {index} ({size} bytes) ends past the file's end", offset)
        return self.data[offset : offset + size]

    def _section_headers(self) -> list[tuple[int, ...]]:
        count, layout = self._section_count, self._layouts.section
        start, stated = self._sections_offset, self._section_entry_size
        if count == 0 and start:
            # More than 65,279 sections: the number is sh_size of the null section.
            count = layout.unpack(self._table(start, 1, layout.size, stated, "section"))[5]
        return list(layout.iter_unpack(self._table(start, count, layout.size, stated, "section")))

    def _string_table(self, index: int, kind: int, offset: int, view: memoryview) -> StringTable:
        if kind != SectionType.STRTAB:
            raise self._error(f"section {index} should be a string table and is not", offset)
        return StringTable(view.tobytes(), file=self.name, offset=offset)

    @kept_value
    def _sections_by_name(self) -> dict[str, Section]:
        return {section.name: section for section in reversed(self.sections)}

    def _refuse_overlap(self) -> None:
        # "No byte in a file resides in more than one section" (gABI, chapter 4). Without
        # this a small file could have thousands of relocation sections on the same bytes.
        end = 0
        stored = [(s.offset, s.index) for s in self.sections if s.data]
        for start, index in sorted(stored):
            section = self.sections[index]
            if start < end:
                raise self._error(f"section {section.name!r} overlaps another", start)
            end = start + section.size

    def _only_section(self, kind: SectionType) -> Section | None:
        found = [section for section in self.sections if section.type == kind]
        if len(found) > 1:
            raise self._error(f"more than one {kind.name} section", found[1].offset)
        return found[0] if found else None

    def _entries(self, section: Section, size: int) -> memoryview:
        """A section's data as whole entries of `size` bytes."""
        if section.entry_size != size or section.size % size:
            raise self._error(
                f"section {section.name!r} ({section.size} bytes, entries of {section.entry_size})"
                f" does not hold {size}-byte entries",
                section.offset,
            )
        return section.data

    def _read_symbols(self, kind: SectionType) -> list[Symbol]:
        table = self._only_section(kind)
        if table is None:
            return []
        if table.link >= len(self.sections):
            raise self._error(f"{table.name!r} names string table {table.link}, which is not there")
        strings = self.sections[table.link]
        names = self._string_table(strings.index, strings.type, strings.offset, strings.data)
        layout = self._layouts.symbol
        packed = self._entries(table, layout.size)
        entries = _ordered(layout.iter_unpack(packed), self._layouts.symbol_order)
        count = len(self.sections)
        symbols = []
        for index, (name, info, other, section, value, size) in enumerate(entries):
            if section >= count or section == SHN_XINDEX:
                section = self._section_beyond(table, index, section)
            binding, type_ = _BINDINGS[info >> 4], _SYMBOL_TYPES[info & 15]
            if binding is None or type_ is None:
                raise self._symbol_error(table, index, f"has unknown binding or type {info:#04x}")
            visibility = _VISIBILITIES[other & 3]
            told = (index, names[name], value, size, binding, type_, visibility, section)
            symbols.append(_new(Symbol, told))
        return symbols

    def _section_beyond(self, table: Section, index: int, section: int) -> int:
        """A symbol's section where st_shndx is no index of one: reserved, or too large for it."""
        if section == SHN_XINDEX:
            return self._extended_index(table, index)
        if section < SHN_LORESERVE:
            raise self._symbol_error(table, index, f"is in section {section}, which is not there")
        return section

    def _symbol_error(self, table: Section, index: int, fault: str) -> ObjectFormatError:
        return self._error(
            f"symbol {index} {fault}", table.offset + index * self._layouts.symbol.size
        )

    def _extended_index(self, table: Section, symbol: int) -> int:
        """The section of a symbol whose index does not fit into st_shndx."""
        indexes = self._extended_indexes.get(table.index)
        word = self._layouts.word
        if indexes is None or (symbol + 1) * word.size > len(indexes):
            raise self._symbol_error(table, symbol, "has an extended section index but no entry")
        (section,) = word.unpack_from(indexes, symbol * word.size)
        # Were it in the reserved range it could not be told from SHN_ABS and its like.
        if section >= len(self.sections) or SHN_LORESERVE <= section <= SHN_XINDEX:
            raise self._symbol_error(table, symbol, f"has extended section index {section}")
        return int(section)

    @kept_value
    def _extended_indexes(self) -> dict[int, memoryview]:
        return {
            section.link: section.data
            for section in self.sections
            if section.type == SectionType.SYMTAB_SHNDX
        }

    @kept_value
    def _relocation_tables(self) -> dict[int, list[Section]]:
        """REL and RELA sections by the section that they apply to."""
        tables: dict[int, list[Section]] = {}
        if self.type != FileType.REL or not self.is_64_bit:
            return tables
        for section in self.sections:
            if section.type in _RELOCATIONS:
                tables.setdefault(section.info, []).append(section)
        return tables

    def _read_relocations(self, table: Section, target: Section) -> list[ElfRelocation]:
        if table.link >= len(self.sections) or (
            self.sections[table.link].type != SectionType.SYMTAB
        ):
            raise self._error(f"{table.name!r} does not name the symbol table", table.offset)
        symbols, size = len(self.symbols), target.size
        relocations: list[ElfRelocation] = []
        for offset, info, *addend in self._unpacked_relocations(table):
            symbol = info >> 32
            if offset >= size or symbol >= symbols:
                fault = (
                    f"is at {offset:#x}, past the end of {target.name!r}"
                    if offset >= size
                    else f"names symbol {symbol} of {symbols}"
                )
                index = len(relocations)
                at = table.offset + index * table.entry_size
                raise self._error(f"relocation {index} of {table.name!r} {fault}", at)
            told = (offset, symbol, info & 0xFFFFFFFF, addend[0] if addend else None)
            relocations.append(_new(ElfRelocation, told))
        return relocations

    def _unpacked_relocations(self, table: Section) -> Iterable[tuple[int, ...]]:
        if table.type == SectionType.REL:
            return self._layouts.rel.iter_unpack(self._entries(table, REL_SIZE))
        return self._layouts.rela.iter_unpack(self._entries(table, RELA_SIZE))


def _ordered(
    entries: Iterable[tuple[int, ...]], order: tuple[int, ...] | None
) -> Iterable[tuple[int, ...]]:
    """Structures with their members in ELF64's order."""
    return entries if order is None else map(itemgetter(*order), entries)
