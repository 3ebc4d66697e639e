"""Jump tables of a BPF ELF file, as clang 22 and later write them (-mcpu=v4).

A table is an object symbol in section `.jumptables`: 8-byte numbers, each a place in the code
section of the function that refers to it, in bytes. A *static* array of labels stands in
`.rodata` instead, with a relocation for each entry; that is a jump table as well when all of
the array is.
"""

from __future__ import annotations

import struct
from bisect import bisect_right

from osmia.elf import ElfRelocation, Section, Symbol, SymbolType
from osmia.errors import ObjectFormatError
from osmia.formats.elf_symbols import INSTRUCTION_SIZE, CodeRange, CodeSection, SymbolTable
from osmia.named_tuples import NamedTuple
from osmia.object.jump_tables import ENTRY_SIZE, JumpTable
from osmia.object.model import Object, Relocation, RelocationKind

SECTION = ".jumptables"
_LD_IMM64 = 0x18


class _Use(NamedTuple):
    """A function that refers to a table, and where that is."""

    function: str
    section: int
    value: int
    size: int


class JumpTableReader:
    """Reads the tables that code refers to into `target`; each is read once for a function."""

    def __init__(self, table: SymbolTable, target: Object) -> None:
        self.table = table
        self.target = target
        self.section: Section | None = table.elf.section(SECTION)
        self.read: dict[_Use, JumpTable | None] = {}
        self.entries = 0
        self.relocated: dict[int, dict[int, ElfRelocation]] = {}
        self.variables: dict[int, list[Symbol]] = {}
        self.word = struct.Struct("<Q" if table.elf.byteorder == "little" else ">Q")

    def holds(self, symbol: Symbol) -> bool:
        """Whether a symbol lies in `.jumptables`."""
        return self.section is not None and symbol.section == self.section.index

    def reference(
        self, code: CodeSection, place: CodeRange, offset: int, symbol: Symbol, addend: int
    ) -> Relocation:
        """The relocation of a load of a table's address, `addend` bytes behind its start."""
        section = self.section
        assert section is not None
        what = f"jump table {symbol.name!r}"
        if not self._is_whole(section, symbol):
            raise self._error(
                f"{what} ({symbol.value:#x} + {symbol.size:#x} bytes) is no whole number of"
                f" {ENTRY_SIZE}-byte entries within {SECTION!r} of {len(section.data):#x} bytes"
            )
        if not 0 <= addend < symbol.size or addend % ENTRY_SIZE:
            raise self._error(f"no entry of {what} begins at its byte {addend}", offset)
        table = self._table(code, place, section, symbol)
        if table is None:
            where = self._first_outside(code, place, section, symbol)
            raise self._error(
                f"section {section.name!r}: entry {(where - symbol.value) // ENTRY_SIZE} of {what}"
                f" is {self._target(section, where):#x}, where no instruction of function"
                f" {place.key!r} begins",
                where,
            )
        return Relocation(offset - place.start, RelocationKind.JUMP_TABLE, table.name, addend)

    def static_reference(
        self, code: CodeSection, place: CodeRange, offset: int, section: Section, address: int
    ) -> Relocation | None:
        """The same for an address in a data section; None when no array of labels is there."""
        relocations = self._relocations(section)
        symbol = self._variable_at(section, address) if address in relocations else None
        if symbol is None or not self._is_whole(section, symbol):
            return None
        table = self._table(code, place, section, symbol)
        if table is None:
            return None
        addend = address - symbol.value
        return Relocation(offset - place.start, RelocationKind.JUMP_TABLE, table.name, addend)

    def places_in(self, section: int) -> list[range]:
        """Where the arrays of a data section are that were read as jump tables."""
        return [
            range(use.value, use.value + use.size, ENTRY_SIZE)
            for use, table in self.read.items()
            if table is not None and use.section == section
        ]

    @staticmethod
    def _is_whole(section: Section, symbol: Symbol) -> bool:
        whole = symbol.size and not symbol.value % ENTRY_SIZE and not symbol.size % ENTRY_SIZE
        return bool(whole) and symbol.value + symbol.size <= len(section.data)

    def _variable_at(self, section: Section, address: int) -> Symbol | None:
        variables = self.variables.get(section.index)
        if variables is None:
            symbols = self.table.by_section.get(section.index, ())
            variables = [symbol for symbol in symbols if symbol.type is SymbolType.OBJECT]
            variables.sort(key=lambda symbol: symbol.value)
            self.variables[section.index] = variables
        index = bisect_right(variables, address, key=lambda symbol: symbol.value) - 1
        if index < 0 or address >= variables[index].value + variables[index].size:
            return None
        return variables[index]

    def _relocations(self, section: Section) -> dict[int, ElfRelocation]:
        found = self.relocated.get(section.index)
        if found is None:
            found = {entry.offset: entry for entry in self.table.elf.relocations(section)}
            self.relocated[section.index] = found
        return found

    def _table(
        self, code: CodeSection, place: CodeRange, section: Section, symbol: Symbol
    ) -> JumpTable | None:
        """The table at a symbol; None if not all of it points into the function at `place`."""
        key = _Use(place.key, section.index, symbol.value, symbol.size)
        if key in self.read:
            return self.read[key]
        # Tables that overlap could be many more entries than the file has bytes.
        self.entries += symbol.size // ENTRY_SIZE
        if self.entries * ENTRY_SIZE > len(self.table.elf.data):
            raise self._error(
                f"with jump table {symbol.name!r} there are more entries than the file has bytes"
            )
        table = None
        if self._first_outside(code, place, section, symbol) < 0:
            targets = tuple(
                (self._target(section, at) - place.start) // INSTRUCTION_SIZE
                for at in _places(symbol)
            )
            table = JumpTable(self._unused_name(symbol), place.key, targets)
            self.target.jump_tables[table.name] = table
        self.read[key] = table
        return table

    def _unused_name(self, symbol: Symbol) -> str:
        name, number = symbol.name, 0
        while not name or name in self.target.jump_tables:
            number += 1
            name = f"{symbol.name or 'table'}.{number}"
        return name

    def _target(self, section: Section, at: int) -> int:
        """What the entry at a place says: bytes from the start of a code section."""
        (target,) = self.word.unpack_from(section.data, at)
        entry = self._relocations(section).get(at)
        if entry is not None:
            target += self.table.elf.symbols[entry.symbol].value + (entry.addend or 0)
        return int(target)

    def _first_outside(
        self, code: CodeSection, place: CodeRange, section: Section, symbol: Symbol
    ) -> int:
        """Where the first entry is that is no instruction of a function; -1 when all are."""
        relocations, symbols = self._relocations(section), self.table.elf.symbols
        data = code.section.data
        for at in _places(symbol):
            entry = relocations.get(at)
            if entry is not None and symbols[entry.symbol].section != code.section.index:
                return at
            if entry is None and section is not self.section:
                return at
            target = self._target(section, at)
            if target % INSTRUCTION_SIZE or not place.start <= target < place.end:
                return at
            if target > place.start and data[target - INSTRUCTION_SIZE] == _LD_IMM64:
                return at
        return -1

    def _error(self, message: str, offset: int | None = None) -> ObjectFormatError:
        return ObjectFormatError(message, file=self.table.elf.name, offset=offset)


def _places(table: Symbol) -> range:
    """Where the entries of a table are in its section."""
    return range(table.value, table.value + table.size, ENTRY_SIZE)
