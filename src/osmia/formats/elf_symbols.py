"""What the symbols of a BPF ELF file define: functions, variables and their sections."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from operator import attrgetter

from osmia.elf import SHN_ABS, Binding, ElfFile, Section, Symbol, SymbolType, Visibility
from osmia.errors import ObjectFormatError
from osmia.object.keys import Named, distinct_keys
from osmia.object.model import DataKind
from osmia.records import dataclass, field

INSTRUCTION_SIZE = 8
SHF_EXECINSTR = 0x4
SHT_PROGBITS = 1
SHT_NOBITS = 8
_WITH_CONTENTS = (SHT_PROGBITS, SHT_NOBITS)
#: bytes that all sections with contents of a file may have together, those included that are
#: only zeros and take no room in the file (.bss): they are allocated when it is read.
MAX_CONTENTS = 1 << 28
HIDDEN = (Visibility.HIDDEN, Visibility.INTERNAL)
# Named here: asking an enumeration for a member takes as long as ten of what is done with it.
_LOCAL, _FUNC = Binding.LOCAL, SymbolType.FUNC


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
    files: list[Symbol] | None = None

    def file_of(self, symbol: Symbol) -> str:
        """The source file that a local symbol comes from; "" for others and where none is told.

        Local symbols stand behind the one that names their file (gABI, chapter 4).
        """
        if symbol.binding is not _LOCAL:
            return ""
        if self.files is None:
            absolute = self.by_section.get(SHN_ABS, ())
            self.files = [each for each in absolute if each.type is SymbolType.FILE]
        place = bisect_right(self.files, symbol.index, key=_index) - 1
        return self.files[place].name if place >= 0 else ""

    def named(self, symbol: Symbol, section: Section) -> Named:
        """What there is to tell a symbol of a section by."""
        static = symbol.binding is Binding.LOCAL
        return Named(symbol.name, self.file_of(symbol), section.name, static)


_index, _value = attrgetter("index"), attrgetter("value")

#: The kinds of sections with these names.
_KINDS = {
    ".addr_space.1": DataKind.ARENA,
    **dict.fromkeys((".struct_ops", ".struct_ops.link"), DataKind.STRUCT_OPS),
    **dict.fromkeys(("?.struct_ops", "?.struct_ops.link"), DataKind.STRUCT_OPS),
}
#: The kinds of those whose names begin so, up to a second dot: ".rodata.str1.1".
_KINDS_OF_PREFIXES = {
    ".data": DataKind.DATA,
    ".rodata": DataKind.RODATA,
    ".bss": DataKind.BSS,
}


def data_kind(section: str) -> DataKind | None:
    """What a section of this name becomes, by libbpf's naming; None if it is no data."""
    kind = _KINDS.get(section)
    return kind or _KINDS_OF_PREFIXES.get(section[:1] + section[1:].partition(".")[0])


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
    names: set[str] = set()
    shared: set[str] = set()
    for section in elf.sections:
        if section.type == SHT_PROGBITS and section.flags & SHF_EXECINSTR:
            if section.size:
                functions = by_section.get(section.index, [])
                table.code[section.index] = _code_section(elf, section, functions)
                for place in table.code[section.index].ranges:
                    (shared if place.key in names else names).add(place.key)
        elif section.type in _WITH_CONTENTS and section.size:
            kind = data_kind(section.name)
            if kind is not None:
                table.data[section.index] = kind
    if shared:
        _tell_apart(table, shared)
    return table


def _tell_apart(table: SymbolTable, shared: set[str]) -> None:
    """Give keys of their own to functions whose names are not."""
    places = [(code.section, place) for code in table.code.values() for place in code.ranges]
    visible: set[str] = set()
    for _, place in places:
        if place.key in shared and place.symbol.binding is not Binding.LOCAL:
            if place.key in visible:
                raise ObjectFormatError(
                    f"function {place.key!r} is defined twice", file=table.elf.name
                )
            visible.add(place.key)
    keys = distinct_keys([table.named(place.symbol, section) for section, place in places])
    for (_, place), key in zip(places, keys, strict=True):
        place.key = key


def _check_sizes(elf: ElfFile) -> None:
    total = 0
    for section in elf.sections:
        if section.type in _WITH_CONTENTS:
            total += section.size
            if total > MAX_CONTENTS:
                raise ObjectFormatError(
                    f"section {section.name!r} of {section.size} bytes is too large; all"
                    f" sections together may have {MAX_CONTENTS}",
                    file=elf.name,
                )


def _code_section(elf: ElfFile, section: Section, symbols: list[Symbol]) -> CodeSection:
    functions = sorted([symbol for symbol in symbols if symbol.type is _FUNC], key=_value)
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
        if not symbol.name:
            raise ObjectFormatError(f"function symbol {symbol.index} has no name", file=elf.name)
        ranges.append(CodeRange(symbol.name, symbol, symbol.value, end))
    return CodeSection(section, ranges, [code.start for code in ranges])
