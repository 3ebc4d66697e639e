"""What the symbols of a BPF ELF file define: functions, variables and their sections."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field

from osmia.elf import Binding, ElfFile, Section, Symbol, SymbolType, Visibility
from osmia.errors import ObjectFormatError
from osmia.object.model import DataKind

INSTRUCTION_SIZE = 8
SHF_EXECINSTR = 0x4
SHT_PROGBITS = 1
SHT_NOBITS = 8
#: bytes that all sections with contents of a file may have together, those included that are
#: only zeros and take no room in the file (.bss): they are allocated when it is read.
MAX_CONTENTS = 1 << 28
HIDDEN = (Visibility.HIDDEN, Visibility.INTERNAL)


@dataclass(slots=True)
class CodeRange:
    """A function symbol's part of an executable section; offsets in bytes."""

    key: str
    symbol: Symbol
    start: int
    end: int


@dataclass(slots=True)
class CodeSection:
    """An executable section and its functions, in order of their offsets."""

    section: Section
    ranges: list[CodeRange]
    starts: list[int]

    def at(self, offset: int) -> CodeRange | None:
        """The function whose code contains byte `offset`."""
        place = bisect_right(self.starts, offset) - 1
        if place < 0 or offset >= self.ranges[place].end:
            return None
        return self.ranges[place]

    def starting_at(self, offset: int) -> CodeRange | None:
        """The function that begins exactly at byte `offset`."""
        found = self.at(offset)
        return found if found is not None and found.start == offset else None


@dataclass(slots=True)
class SymbolTable:
    """The file's sections sorted by what they hold, with the symbols of each."""

    elf: ElfFile
    code: dict[int, CodeSection] = field(default_factory=dict)
    data: dict[int, DataKind] = field(default_factory=dict)
    by_section: dict[int, list[Symbol]] = field(default_factory=dict)
    undefined: dict[str, Symbol] = field(default_factory=dict)


def data_kind(section: str) -> DataKind | None:
    """What a section of this name becomes, by libbpf's naming; None if it is no data."""
    base = section.removeprefix("?")
    if base in (".struct_ops", ".struct_ops.link"):
        return DataKind.STRUCT_OPS
    if section == ".addr_space.1":
        return DataKind.ARENA
    for prefix, kind in (
        (".data", DataKind.DATA),
        (".rodata", DataKind.RODATA),
        (".bss", DataKind.BSS),
    ):
        if section == prefix or section.startswith(f"{prefix}."):
            return kind
    return None


def read_symbols(elf: ElfFile) -> SymbolTable:
    """Sort the file's sections and symbols; ObjectFormatError where they contradict."""
    by_section: dict[int, list[Symbol]] = defaultdict(list)
    table = SymbolTable(elf, by_section=by_section)
    for symbol in elf.symbols:
        if symbol.section:
            by_section[symbol.section].append(symbol)
        elif symbol.name:
            table.undefined[symbol.name] = symbol
    _check_sizes(elf)
    taken: dict[str, int] = {}
    for section in elf.sections:
        if section.type == SHT_PROGBITS and section.flags & SHF_EXECINSTR:
            if section.size:
                functions = by_section.get(section.index, [])
                table.code[section.index] = _code_section(elf, section, functions, taken)
        elif section.type in (SHT_PROGBITS, SHT_NOBITS) and section.size:
            kind = data_kind(section.name)
            if kind is not None:
                table.data[section.index] = kind
    return table


def _check_sizes(elf: ElfFile) -> None:
    total = 0
    for section in elf.sections:
        if section.type in (SHT_PROGBITS, SHT_NOBITS):
            total += section.size
            if total > MAX_CONTENTS:
                raise ObjectFormatError(
                    f"section {section.name!r} of {section.size} bytes is too large; all"
                    f" sections together may have {MAX_CONTENTS}",
                    file=elf.name,
                )


def _code_section(
    elf: ElfFile, section: Section, symbols: list[Symbol], taken: dict[str, int]
) -> CodeSection:
    functions = sorted(
        (symbol for symbol in symbols if symbol.type is SymbolType.FUNC), key=lambda s: s.value
    )
    ranges: list[CodeRange] = []
    for number, symbol in enumerate(functions):
        following = functions[number + 1].value if number + 1 < len(functions) else section.size
        # Assemblers and old compilers leave sizes out: such a function ends at the next one.
        end = symbol.value + symbol.size if symbol.size else following
        if symbol.value % INSTRUCTION_SIZE or end % INSTRUCTION_SIZE:
            raise ObjectFormatError(
                f"function {symbol.name!r} in {section.name!r} is not a whole number of"
                f" instructions ({symbol.value:#x} to {end:#x})",
                file=elf.name,
            )
        if end > section.size or symbol.value >= end:
            raise ObjectFormatError(
                f"function {symbol.name!r} does not lie within {section.name!r}"
                f" ({symbol.value:#x} to {end:#x} of {section.size:#x} bytes)",
                file=elf.name,
            )
        if end > following:
            other = functions[number + 1].name
            raise ObjectFormatError(
                f"functions {symbol.name!r} and {other!r} overlap in {section.name!r}",
                file=elf.name,
                offset=following,
            )
        ranges.append(CodeRange(_unique(symbol, taken, elf.name), symbol, symbol.value, end))
    return CodeSection(section, ranges, [code.start for code in ranges])


def _unique(symbol: Symbol, taken: dict[str, int], file: str) -> str:
    """A key for a function: its name, or with a number where two static ones share it.

    `taken` has the next number to try for each key that is given away.
    """
    if not symbol.name:
        raise ObjectFormatError(f"function symbol {symbol.index} has no name", file=file)
    key = symbol.name
    while key in taken:
        if symbol.binding is not Binding.LOCAL:
            raise ObjectFormatError(f"function {symbol.name!r} is defined twice", file=file)
        key = f"{symbol.name}.{taken[symbol.name]}"
        taken[symbol.name] += 1
    taken[key] = 1
    return key
