"""Entries of procedure linkage tables, which no symbol names: "malloc@plt".

An entry jumps through a slot that a relocation fills with a function's address. So which function
it is of says the slot that its code names, whichever linker laid the table out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from osmia.elf import ElfFile, Section, SectionType

_TABLES = (".plt", ".plt.sec", ".plt.got")
_X86_64, _AARCH64 = 62, 183
_RELA = struct.Struct("<QQq")
_SYMBOL = struct.Struct("<IBBHQQ")
#: The types of relocations that fill a slot with a symbol's address: GLOB_DAT, JUMP_SLOT.
_FILLS = {_X86_64: (6, 7), _AARCH64: (1025, 1026)}
_MOST_ENTRIES = 1 << 20


def plt_entries(elf: ElfFile) -> list[tuple[int, int, str]]:
    """Address, size and name of each entry; of little-endian x86-64 and arm64 alone."""
    if elf.machine not in _FILLS or not elf.is_64_bit or elf.byteorder != "little":
        return []
    slots = _slots(elf)
    if not slots:
        return []
    jumps = _jumps_x86_64 if elf.machine == _X86_64 else _jumps_aarch64
    return [
        (address, size, f"{slots[slot]}@plt")
        for name in _TABLES
        if (table := elf.section(name)) is not None
        for address, size, slot in jumps(table)
        if slot in slots
    ]


def _slots(elf: ElfFile) -> dict[int, str]:
    """The name of the function whose address is in a slot, by the slot's address."""
    found = {}
    for relocations in elf.sections:
        if relocations.type != SectionType.RELA or relocations.link >= len(elf.sections):
            continue
        symbols = elf.sections[relocations.link]
        if symbols.type != SectionType.DYNSYM or symbols.link >= len(elf.sections):
            continue
        names = elf.sections[symbols.link].data
        whole = relocations.data[: min(len(relocations.data) // 24, _MOST_ENTRIES) * 24]
        for slot, info, _ in _RELA.iter_unpack(whole):
            fills = info & 0xFFFF_FFFF in _FILLS[elf.machine]
            if fills and (name := _name(symbols, names, info >> 32)):
                found[slot] = name
    return found


def _name(symbols: Section, names: memoryview, index: int) -> str:
    if not index or (index + 1) * _SYMBOL.size > len(symbols.data):
        return ""
    start = _SYMBOL.unpack_from(symbols.data, index * _SYMBOL.size)[0]
    return bytes(names[start : start + 4096]).partition(b"\0")[0].decode("utf-8", "replace")


def _jumps_x86_64(table: Section) -> Iterator[tuple[int, int, int]]:
    """Entries of 16 bytes, or of 8 in .plt.got: [endbr64] [bnd] jmp *slot(%rip)."""
    code = bytes(table.data[: 16 * _MOST_ENTRIES])
    step = 8 if table.name == ".plt.got" and code[8:10] == b"\xff\x25" else 16
    for start in range(0, len(code), step):
        jump = code.find(b"\xff\x25", start, start + step)
        if jump >= 0 and jump + 6 <= len(code):
            (distance,) = struct.unpack_from("<i", code, jump + 2)
            yield table.address + start, step, table.address + jump + 6 + distance


def _jumps_aarch64(table: Section) -> Iterator[tuple[int, int, int]]:
    """Entries of 16 bytes, 24 with BTI: [bti c] adrp x16, page; ldr x17, [x16, #offset]; …"""
    words = memoryview(bytes(table.data[: len(table.data) // 4 * 4])).cast("I")
    starts = []
    for index in range(len(words) - 1):
        page, load = words[index], words[index + 1]
        if page & 0x9F00_001F == 0x9000_0010 and load & 0xFFC0_03FF == 0xF940_0211:
            starts.append((index, page, load))
    for index, page, load in starts:
        first = index - 1 if index and words[index - 1] == 0xD503_245F else index
        high = (page >> 5 & 0x7_FFFF) << 2 | page >> 29 & 3
        pages = high - (1 << 21) if high >> 20 else high
        base = (table.address + 4 * index & ~0xFFF) + (pages << 12)
        size = 16 if first == index else 20
        yield table.address + 4 * first, size, base + (load >> 10 & 0xFFF) * 8
