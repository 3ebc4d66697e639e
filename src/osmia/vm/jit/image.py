"""Machine code ready to be mapped: what an object file of LLVM's becomes, once, when it is made.

Code and constants are laid out side by side, a page between what is executed and what is read, and
all distances between them are filled in. What is left for each process are the addresses of
functions of the system, which the code calls through jumps that are part of the image:

    0     a jump through the word at 8
    8     the function's address

This is for x86-64 and arm64 (`osmia.vm.jit.relocations`). Of another machine, and of what LLVM does
not emit for us today, there is no image: then LLVM's own loader takes the object file.
"""

from __future__ import annotations

import mmap
import struct

from osmia.records import dataclass
from osmia.vm.jit.relocations import TARGETS, UnknownError

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.elf.model import ElfRelocation, Section
    from osmia.elf.reader import ElfFile

PAGE = mmap.PAGESIZE
LARGEST = 1 << 28
"""Bytes of an image: distances in it have 32 bits."""

_JUMP_SIZE = 16
_READ_ONLY = (".rodata", ".data.rel.ro")
_WRITTEN, _ALLOCATED, _EXECUTED = 1, 2, 4  # SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR
_NOBITS = 8  # SHT_NOBITS


@dataclass(frozen=True, slots=True)
class Image:
    """Bytes of which the first `executable` are code. `symbols` are where functions are, `words`
    the offsets at which a function of the system is to be named, `places` those of addresses in
    the image itself, whose offsets they hold."""

    content: bytes
    executable: int
    symbols: dict[str, int]
    words: tuple[tuple[int, str], ...]
    places: tuple[int, ...]

    def packed(self) -> tuple[object, ...]:
        """As `marshal` takes it."""
        return self.content, self.executable, self.symbols, self.words, self.places


def image_of(code: bytes) -> Image | None:
    """The image of an object file; None where only LLVM can load it."""
    from osmia.elf.reader import ElfFile

    elf = ElfFile.parse(code, "compiled code")
    try:
        return _Layout(elf).image()
    except UnknownError:
        return None


class _Layout:
    """Where the sections of an object file go."""

    def __init__(self, elf: ElfFile) -> None:
        target = TARGETS.get(elf.machine)
        if target is None or elf.byteorder != "little":
            raise UnknownError
        self.target = target
        self.elf = elf
        self.content = bytearray()
        self.starts: dict[int, int] = {}
        self.jumps: dict[str, int] = {}
        self.places: list[int] = []

    def image(self) -> Image:
        """Lay out, then fill in."""
        kept = [each for each in self.elf.sections if _is_kept(each)]
        for section in kept:
            if section.flags & _EXECUTED:
                self._add(section)
        relocations = [
            (section, each) for section in kept for each in self.elf.relocations(section)
        ]
        for _, relocation in relocations:
            symbol = self.elf.symbols[relocation.symbol]
            if not symbol.is_defined and symbol.name not in self.jumps:
                self._align(_JUMP_SIZE)
                self.jumps[symbol.name] = len(self.content)
                self.content += self.target.jump + bytes(8)
        self._align(PAGE)
        executable = len(self.content)
        for section in kept:
            if not section.flags & _EXECUTED:
                self._add(section)
        for section, relocation in relocations:
            self._relocate(self.starts[section.index] + relocation.offset, relocation)
        self._align(PAGE)
        if len(self.content) > LARGEST:
            raise UnknownError
        symbols = {
            each.name: self.starts[each.section] + each.value
            for each in self.elf.symbols
            if each.name and each.section in self.starts
        }
        words = tuple((at + 8, name) for name, at in self.jumps.items())
        return Image(bytes(self.content), executable, symbols, words, tuple(self.places))

    def _add(self, section: Section) -> None:
        self._align(max(section.alignment, 16))
        self.starts[section.index] = len(self.content)
        self.content += section.data

    def _align(self, to: int) -> None:
        if to > PAGE:
            raise UnknownError
        self.content += bytes(-len(self.content) % to)

    def _relocate(self, at: int, relocation: ElfRelocation) -> None:
        symbol = self.elf.symbols[relocation.symbol]
        addend = relocation.addend
        if addend is None:
            raise UnknownError
        if symbol.is_defined:
            if symbol.section not in self.starts:
                raise UnknownError
            place = self.starts[symbol.section] + symbol.value
        elif relocation.type in self.target.calls:
            place = self.jumps[symbol.name]
        else:
            raise UnknownError
        if relocation.type == self.target.address:
            struct.pack_into("<Q", self.content, at, place + addend)
            self.places.append(at)
        else:
            self.target.fill(self.content, relocation.type, at, place + addend)


def _is_kept(section: Section) -> bool:
    """Whether a section is of what is run or read; data that changes is nothing for an image."""
    if not section.flags & _ALLOCATED or not section.size or section.name == ".eh_frame":
        return False
    relocated = section.name.startswith(_READ_ONLY)
    if section.type == _NOBITS or (section.flags & _WRITTEN and not relocated):
        raise UnknownError
    return True
