"""DWARF sections of a relocatable object, with their relocations applied.

In such a file every section begins at address 0. Here each gets a place of its own, so that an
address in the debug information tells which section is meant.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator

from osmia.elf import (
    R_BPF_64_32,
    R_BPF_64_64,
    R_BPF_64_ABS32,
    R_BPF_64_ABS64,
    ElfFile,
    Section,
    SectionFlag,
)
from osmia.errors import ObjectFormatError

MOST_BYTES = 1 << 26
"""Bytes that the debug sections of a file may have together."""

_FIRST = 1 << 20
_ALIGNMENT = 1 << 12
_NO_RELOCATION = 0
#: How many bytes a relocation is of; clang before 13 had the first two for data, too.
_WIDTHS = {R_BPF_64_64: 8, R_BPF_64_32: 4, R_BPF_64_ABS64: 8, R_BPF_64_ABS32: 4}


class DebugSections:
    """The contents of sections `.debug_…` by name; where the others are, by index.

    Raises ObjectFormatError for what is too large, compressed, or relocated in no known way.
    """

    def __init__(self, elf: ElfFile) -> None:
        self._elf = elf
        self._order = "<" if elf.byteorder == "little" else ">"
        own = [each for each in elf.sections if each.name.startswith(".debug_")]
        if sum(each.size for each in own) > MOST_BYTES:
            raise ObjectFormatError(
                f"its debug information has more than {MOST_BYTES} bytes", file=elf.name
            )
        debug = {each.index for each in own}
        self._indexes: list[int] = []
        self._starts: list[int] = []
        self._by_section: dict[int, int] = {}
        at = _FIRST
        for each in elf.sections:
            if each.index not in debug and each.size:
                self._indexes.append(each.index)
                self._starts.append(at)
                self._by_section[each.index] = at
                at += -(-each.size // _ALIGNMENT) * _ALIGNMENT + _ALIGNMENT
        self.contents = {each.name: self._relocated(each) for each in own}

    def place(self, address: int) -> tuple[int, int] | None:
        """The section that an address is in, and the offset there; just behind its end, too."""
        at = bisect_right(self._starts, address) - 1
        if at < 0:
            return None
        index, offset = self._indexes[at], address - self._starts[at]
        return (index, offset) if offset <= self._elf.sections[index].size else None

    def address(self, section: int, offset: int) -> int:
        """The address of a byte of a section that is not of debug information."""
        return self._by_section[section] + offset

    def _relocated(self, section: Section) -> bytes:
        if section.flags & SectionFlag.COMPRESSED:
            raise ObjectFormatError(
                f"section {section.name!r} is compressed, which is not read; compile without -gz",
                file=self._elf.name,
            )
        data = bytearray(section.data)
        for offset, width, value, addend in self._values(section):
            if offset + width > len(data):
                raise ObjectFormatError(
                    f"a relocation of {section.name!r} reaches past its end",
                    file=self._elf.name,
                    offset=offset,
                )
            layout = struct.Struct(self._order + ("Q" if width == 8 else "I"))
            if addend is None:
                (addend,) = layout.unpack_from(data, offset)
            layout.pack_into(data, offset, (value + addend) & ((1 << 8 * width) - 1))
        return bytes(data)

    def _values(self, section: Section) -> Iterator[tuple[int, int, int, int | None]]:
        """Of each relocation: offset, width in bytes, the symbol's value, the addend if told."""
        symbols = self._elf.symbols
        for offset, number, kind, addend in self._elf.relocations(section):
            if kind == _NO_RELOCATION:
                continue
            width = _WIDTHS.get(kind)
            if width is None:
                raise ObjectFormatError(
                    f"section {section.name!r} has a relocation of unknown type {kind}",
                    file=self._elf.name,
                    offset=offset,
                )
            symbol = symbols[number]
            yield offset, width, self._by_section.get(symbol.section, 0) + symbol.value, addend
