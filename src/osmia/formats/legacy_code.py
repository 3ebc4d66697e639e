"""Functions of objects without function symbols, or with some only.

iproute2 takes a whole section as one program and never looks at a function's symbol, so
old compilers and assemblers could leave them out, or give them no size or type.
"""

from __future__ import annotations

import re
import struct
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from osmia.elf import Binding, Symbol, SymbolType, Visibility
from osmia.formats.elf_code import CALL, PSEUDO_CALL
from osmia.formats.elf_symbols import INSTRUCTION_SIZE, CodeRange, CodeSection, SymbolTable


def complete_functions(table: SymbolTable) -> None:
    """Give the table a function wherever a section begins, a call goes, or a global symbol
    without a type stands, and no function is known."""
    targets = defaultdict(set)
    for section, offset in _call_targets(table):
        targets[section].add(offset)
    taken = {place.key: 1 for code in table.code.values() for place in code.ranges}
    for index, code in table.code.items():
        names = {
            symbol.value: symbol
            for symbol in table.by_section.get(index, [])
            if symbol.type is SymbolType.NOTYPE and symbol.binding is not Binding.LOCAL
        }
        starts = {0, *targets[index], *names}
        _fill_gaps(code, sorted(starts), names, taken)


def _fill_gaps(
    code: CodeSection, starts: list[int], names: dict[int, Symbol], taken: dict[str, int]
) -> None:
    size = code.section.size
    missing = [
        start
        for start in starts
        if start < size and not start % INSTRUCTION_SIZE and code.at(start) is None
    ]
    ends = sorted([*code.starts, *missing, size])
    following = dict(pairwise(ends))
    added = []
    for start in missing:
        end = following[start]
        if (end - start) % INSTRUCTION_SIZE:
            continue
        named = names.get(start)
        key = _unused(named.name if named else _name_of(code.section.name, start), taken)
        symbol = named or _symbol(key, start, end, code.section.index)
        added.append(CodeRange(key, symbol, start, end))
    code.ranges[:] = sorted([*code.ranges, *added], key=lambda place: place.start)
    code.starts[:] = [place.start for place in code.ranges]


def _call_targets(table: SymbolTable) -> Iterator[tuple[int, int]]:
    """Where calls of this file go: (section, offset)."""
    little = table.elf.byteorder == "little"
    imm = struct.Struct("<i" if little else ">i")
    shift = 4 if little else 0
    symbols = table.elf.symbols
    for index, code in table.code.items():
        data = code.section.data
        relocated = {}
        for entry in table.elf.relocations(code.section):
            if entry.symbol < len(symbols):
                relocated[entry.offset] = symbols[entry.symbol]
        opcodes = bytes(data[0::INSTRUCTION_SIZE])
        slot = opcodes.find(CALL)
        while slot >= 0:
            at = slot * INSTRUCTION_SIZE
            if at + INSTRUCTION_SIZE <= len(data) and data[at + 1] >> shift & 0xF == PSEUDO_CALL:
                (distance,) = imm.unpack_from(data, at + 4)
                symbol = relocated.get(at)
                if symbol is None:
                    yield index, at + (distance + 1) * INSTRUCTION_SIZE
                elif symbol.section:
                    yield symbol.section, symbol.value + (distance + 1) * INSTRUCTION_SIZE
            slot = opcodes.find(CALL, slot + 1)


def _name_of(section: str, start: int) -> str:
    """A name for what has none: "from_netdev", "prog_2_1", "text_8"."""
    base = re.sub(r"\W", "_", section, flags=re.ASCII).strip("_") or "prog"
    if base[0].isdigit():
        base = f"prog_{base}"
    return f"{base}_{start // INSTRUCTION_SIZE}" if start else base


def _unused(name: str, taken: dict[str, int]) -> str:
    """`name`, or with a number; `taken` has the next one to try for each that is given away."""
    key = name
    while key in taken:
        key, taken[name] = f"{name}_{taken[name]}", taken[name] + 1
    taken[key] = 1
    return key


def _symbol(name: str, start: int, end: int, section: int) -> Symbol:
    binding, visibility = Binding.GLOBAL, Visibility.DEFAULT
    kind = SymbolType.FUNC
    return Symbol(0, name, start, end - start, binding, kind, visibility, section)
