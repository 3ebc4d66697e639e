"""ELF files of which only what tells names is read.

Whose file it is may truncate it while it is looked at, which kills who has it mapped. So it is
not: headers and sections with symbols are read into memory of the file's size, the rest of which
is never touched and costs nothing.
"""

from __future__ import annotations

import mmap
import os

from osmia.elf import ElfFile, Section, SectionFlag, SectionType
from osmia.elf.format import CLASS_32, CLASS_64, IDENT_SIZE, SHN_XINDEX, layouts
from osmia.errors import ObjectFormatError

_MAP_NORESERVE = 0x4000
_MOST_BYTES = 1 << 36  # of a file
_READ = (
    SectionType.SYMTAB,
    SectionType.STRTAB,
    SectionType.DYNSYM,
    SectionType.NOTE,
    SectionType.RELA,
)
_READ_NAMES = (".plt", ".plt.sec", ".plt.got", ".gnu_debuglink")
#: More than any symbol table, in bytes.
_MOST_OF_A_SECTION = 1 << 30
_HEADER_64 = layouts("little", CLASS_64).header.size


def read_symbol_file(fd: int, name: str) -> ElfFile:
    """The file with what is in its symbol tables, string tables, notes and linkage tables; other
    sections have zeros. Raises ObjectFormatError for what is no ELF file."""
    size = os.fstat(fd).st_size
    if not IDENT_SIZE + _HEADER_64 <= size <= _MOST_BYTES:
        raise ObjectFormatError("not an ELF file", file=name)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    contents = mmap.mmap(-1, size, flags=flags)
    reader = _Reader(fd, memoryview(contents))
    reader.read(0, IDENT_SIZE + _HEADER_64)
    if contents[:4] != b"\x7fELF" or contents[4] not in (CLASS_32, CLASS_64):
        raise ObjectFormatError("not an ELF file", file=name)
    reader.read_headers()
    elf = ElfFile.parse(contents, name, allow_32_bit=True)
    for section in elf.sections:
        if _tells_names(section):
            reader.read(section.offset, min(section.size, _MOST_OF_A_SECTION))
    _ = elf.segments  # faults in them are errors here
    return elf


def has_lines(elf: ElfFile) -> bool:
    """Whether the file has DWARF of its own."""
    return any(
        (section := elf.section(name)) is not None and section.type != SectionType.NOBITS
        for name in (".debug_info", ".zdebug_info")
    )


class _Reader:
    """Puts parts of a file at the same places in memory."""

    def __init__(self, fd: int, memory: memoryview) -> None:
        self._fd = fd
        self._memory = memory

    def read(self, offset: int, size: int) -> None:
        """A part of the file, or what there is of it."""
        end = min(offset + size, len(self._memory))
        while offset < end:
            count = os.preadv(
                self._fd, [self._memory[offset : min(end, offset + (1 << 26))]], offset
            )
            if not count:
                return
            offset += count

    def read_headers(self) -> None:
        """The tables of segments and sections, and the sections' names."""
        memory = self._memory
        layout = layouts("big" if memory[5] == 2 else "little", memory[4])
        header = layout.header.unpack_from(memory, IDENT_SIZE)
        _, _, _, _, segments, sections, _, _, size, count, section_size, section_count, names = (
            header
        )
        self.read(segments, size * count)
        if section_size != layout.section.size or not sections:
            return
        self.read(sections, section_size)
        if sections + section_size > len(memory):
            return
        first = layout.section.unpack_from(memory, sections)
        self.read(sections, section_size * (section_count or first[5]))
        place = sections + section_size * (first[6] if names == SHN_XINDEX else names)
        if place + section_size <= len(memory):
            self.read(*layout.section.unpack_from(memory, place)[4:6])


def _tells_names(section: Section) -> bool:
    return not section.flags & SectionFlag.COMPRESSED and (
        section.type in _READ or section.name in _READ_NAMES
    )
