"""The functions of an ELF file by address, names read when they are asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from osmia.elf import SHN_UNDEF, Binding, ElfFile, Section, SectionType, SymbolType
from osmia.elf.format import CLASS_32, CLASS_64, layouts
from osmia.named_tuples import NamedTuple

#: How far back a function is looked for that an address lies in, past smaller ones inside of it.
_LOOKED_BACK = 16
_LONGEST_NAME = 1 << 16
_LOCAL = int(Binding.LOCAL)
_RANKS = {int(Binding.GLOBAL): 3, int(Binding.GNU_UNIQUE): 3, int(Binding.WEAK): 2, _LOCAL: 1}
_FUNCTIONS = (int(SymbolType.FUNC), int(SymbolType.GNU_IFUNC))
_LABEL = int(SymbolType.NOTYPE)
_DATA = int(SymbolType.OBJECT)


class FoundSymbol(NamedTuple):
    """A function's name, as the file has it, and its first address in the file's image."""

    name: str
    address: int


class _Entry(NamedTuple):
    address: int
    rank: int  # of several at one address the highest is taken
    size: int
    name: int  # offset into `names`
    names: memoryview


class SymbolTable:
    """What an ELF file's symbol tables say of addresses in its image."""

    def __init__(
        self, elves: Iterable[ElfFile], others: Iterable[tuple[int, int, str]] = ()
    ) -> None:
        """From all tables of some files of one image: the program, its separate debug file.
        `others` are functions that no table has: address, size, name."""
        entries = [
            entry for elf in elves for table in _tables(elf) for entry in _entries(elf, table)
        ]
        for address, size, name in others:
            packed = name.encode("utf-8", "surrogateescape") + b"\0"
            entries.append(_Entry(address, 0, size, 0, memoryview(packed)))
        entries.sort(key=lambda each: each[:2])
        self._entries = entries
        self._addresses = [each.address for each in entries]

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, address: int) -> FoundSymbol | None:
        """The function, or else the data, that an address is in."""
        place = bisect_right(self._addresses, address)
        for entry in reversed(self._entries[max(0, place - _LOOKED_BACK) : place]):
            # What has no size ends where the next one begins.
            if address < entry.address + entry.size or (
                not entry.size and entry.address == self._addresses[place - 1]
            ):
                return FoundSymbol(_name(entry), entry.address)
        return None


def _tables(elf: ElfFile) -> Iterator[Section]:
    wanted = (SectionType.SYMTAB, SectionType.DYNSYM)
    return (each for each in elf.sections if each.type in wanted and each.link < len(elf.sections))


def _entries(elf: ElfFile, table: Section) -> Iterator[_Entry]:
    """The symbols that have an address; much faster than `ElfFile.symbols`, and lenient: what is
    damaged is nobody's name."""
    layout = layouts(elf.byteorder, CLASS_64 if elf.is_64_bit else CLASS_32)
    names = elf.sections[table.link].data
    whole = table.data[: len(table.data) // layout.symbol.size * layout.symbol.size]
    order = layout.symbol_order
    for symbol in layout.symbol.iter_unpack(whole):
        if order is not None:
            symbol = tuple(symbol[index] for index in order)
        name, info, _, section, value, size = symbol
        kind = info & 15
        if section == SHN_UNDEF or not value or name >= len(names):
            continue
        if kind in _FUNCTIONS:
            rank = 8
        elif kind == _DATA:
            rank = 4
        elif kind == _LABEL and names[name] not in b"$.\0":
            rank = 0  # assembly; "$x" of arm64 and local labels aside
        else:
            continue
        yield _Entry(value, rank + _RANKS.get(info >> 4, 0), size, name, names)


def _name(entry: _Entry) -> str:
    text = bytes(entry.names[entry.name : entry.name + _LONGEST_NAME])
    name = text.partition(b"\0")[0].decode("utf-8", "replace")
    # Full tables have versions in names: memcpy@@GLIBC_2.14.
    plain, _, version = name.partition("@")
    return plain if plain and version[:1] in "@GLC" and version != "plt" else name
