"""What an ELF file is made of: sections, symbols, relocations, segments.

Named tuples, not data classes: a file has hundreds of them, and they are made three times
faster.
"""

from __future__ import annotations

from osmia.elf.format import SHN_UNDEF, Binding, SymbolType, Visibility
from osmia.named_tuples import NamedTuple


class Section(NamedTuple):
    """A section. Sizes and offsets in bytes; `data` is a view of the file, not a copy.

    `data` is empty for a section that takes no room in the file (NOBITS: `.bss`), where
    `size` tells how much memory it stands for.
    """

    index: int  # type: ignore[assignment]  # of a tuple it is a method
    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int
    data: memoryview


class Symbol(NamedTuple):
    """A symbol. `section` is a section's index or SHN_UNDEF, SHN_ABS, SHN_COMMON.

    `value` is an offset into that section in a relocatable file, else an address.
    """

    index: int  # type: ignore[assignment]  # of a tuple it is a method
    name: str
    value: int
    size: int
    binding: Binding
    type: SymbolType
    visibility: Visibility
    section: int

    @property
    def is_defined(self) -> bool:
        """Whether this file says what the symbol is, and does not only name it."""
        return self.section != SHN_UNDEF


class ElfRelocation(NamedTuple):
    """A relocation of a section's bytes at `offset`; `addend` is None in a REL section.

    `symbol` is an index into `ElfFile.symbols`.
    """

    offset: int
    symbol: int
    type: int
    addend: int | None


class Segment(NamedTuple):
    """A part of an executable that is loaded into memory (PT_LOAD); sizes in bytes."""

    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int
