"""Addresses in the data of a BPF ELF file: what the relocations of data sections name.

`static const char *const names[] = { one, two }` needs two. libbpf passes over them, but for
those of struct_ops; what an engine makes of them is its own affair.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal, cast

from osmia.elf import (
    R_BPF_64_32,
    R_BPF_64_64,
    R_BPF_64_ABS32,
    R_BPF_64_ABS64,
    R_BPF_64_NODYLD32,
    ElfRelocation,
    Section,
    Symbol,
    SymbolType,
)
from osmia.errors import ObjectFormatError
from osmia.formats.elf_jump_tables import JumpTableReader
from osmia.formats.elf_symbols import SymbolTable
from osmia.object.model import DataKind, Object, Relocation, RelocationKind

#: How many bytes an address has, by the relocation's type. Clang wrote the first two for data
#: until version 12.
SIZES = {
    R_BPF_64_64: 8,
    R_BPF_64_32: 4,
    R_BPF_64_ABS64: 8,
    R_BPF_64_ABS32: 4,
    R_BPF_64_NODYLD32: 4,
}


def read_pointers(
    table: SymbolTable,
    obj: Object,
    maps_at: Mapping[tuple[int, int], str],
    jump_tables: JumpTableReader,
) -> None:
    """Fill in `relocations` of the data sections of `obj`, whose code and maps are there.

    Arrays of labels that were read as jump tables are none, and the address of what is neither
    data, map nor code (the license's text) is left out. ObjectFormatError for an address that
    ends behind its section, and for a struct_ops with something else than a program.
    """
    for index, kind in table.data.items():
        section = table.elf.sections[index]
        entries = table.elf.relocations(section)
        if not entries:
            continue
        reader = _Reader(table, section, maps_at)
        if kind is DataKind.STRUCT_OPS:
            found = [reader.callback(entry, obj.externs) for entry in entries]
        else:
            found = list(reader.pointers(_outside(entries, jump_tables.places_in(index))))
        obj.data_sections[section.name].relocations = tuple(found)


def _outside(entries: Sequence[ElfRelocation], places: Sequence[range]) -> Sequence[ElfRelocation]:
    if not places:
        return entries
    taken = {at for place in places for at in place}
    return [entry for entry in entries if entry.offset not in taken]


class _Reader:
    """Reads the relocations of one section."""

    def __init__(
        self, table: SymbolTable, section: Section, maps_at: Mapping[tuple[int, int], str]
    ) -> None:
        self.table = table
        self.section = section
        self.maps_at = maps_at
        self.byteorder = cast("Literal['little', 'big']", table.elf.byteorder)

    def callback(self, entry: ElfRelocation, externs: Collection[str]) -> Relocation:
        """The program that a member of a struct_ops is, here or in another object."""
        symbol = self.table.elf.symbols[entry.symbol]
        if not symbol.section and symbol.name in externs:
            return Relocation(entry.offset, RelocationKind.EXTERN, symbol.name)
        code = self.table.code.get(symbol.section)
        place = code.starting_at(symbol.value + (entry.addend or 0)) if code is not None else None
        if place is None:
            raise self._error(f"{symbol.name!r} is no program", entry.offset)
        return Relocation(entry.offset, RelocationKind.FUNCTION, place.key)

    def pointers(self, entries: Sequence[ElfRelocation]) -> Iterator[Relocation]:
        """Those that name something of the object."""
        for entry in entries:
            size = SIZES.get(entry.type)
            if size is None:
                continue
            if entry.offset + size > self.section.size:
                raise self._error("an address ends behind the section", entry.offset)
            symbol = self.table.elf.symbols[entry.symbol]
            found = self._target(symbol, self._addend(entry, size))
            if found is not None:
                yield Relocation(entry.offset, *found, size)

    def _addend(self, entry: ElfRelocation, size: int) -> int:
        """What is added to the symbol's value: told, or what stands at the place."""
        if entry.addend is not None:
            return entry.addend
        stored = self.section.data[entry.offset : entry.offset + size]  # none in .bss
        return int.from_bytes(stored, self.byteorder, signed=True)

    def _target(self, symbol: Symbol, addend: int) -> tuple[RelocationKind, str, int] | None:
        address = symbol.value + addend
        if symbol.section == 0:
            return (RelocationKind.EXTERN, symbol.name, addend) if symbol.name else None
        if symbol.section in self.table.code:
            place = self.table.code[symbol.section].at(address)
            if place is None:
                return None
            return RelocationKind.FUNCTION, place.key, address - place.start
        if symbol.section in self.table.data:
            name = self.table.elf.sections[symbol.section].name
            return RelocationKind.DATA, name, address
        start = address if symbol.type is SymbolType.SECTION else symbol.value
        name = self.maps_at.get((symbol.section, start), "")
        return (RelocationKind.MAP, name, address - start) if name else None

    def _error(self, message: str, offset: int) -> ObjectFormatError:
        return ObjectFormatError(
            f"section {self.section.name!r}: {message}", file=self.table.elf.name, offset=offset
        )
