"""ELF64 files: read and write. Nothing here is specific to BPF."""

from __future__ import annotations

from osmia.elf.format import (
    EM_BPF,
    EM_NONE,
    R_BPF_64_32,
    R_BPF_64_64,
    R_BPF_64_ABS32,
    R_BPF_64_ABS64,
    R_BPF_64_NODYLD32,
    SHN_ABS,
    SHN_COMMON,
    SHN_UNDEF,
    Binding,
    FileType,
    SectionFlag,
    SectionType,
    SymbolType,
    Visibility,
)
from osmia.elf.model import ElfRelocation, Section, Segment, Symbol
from osmia.elf.reader import ElfFile

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.elf.writer import ElfWriter, SymbolHandle

__all__ = [
    "EM_BPF",
    "EM_NONE",
    "R_BPF_64_32",
    "R_BPF_64_64",
    "R_BPF_64_ABS32",
    "R_BPF_64_ABS64",
    "R_BPF_64_NODYLD32",
    "SHN_ABS",
    "SHN_COMMON",
    "SHN_UNDEF",
    "Binding",
    "ElfFile",
    "ElfRelocation",
    "ElfWriter",
    "FileType",
    "Section",
    "SectionFlag",
    "SectionType",
    "Segment",
    "Symbol",
    "SymbolHandle",
    "SymbolType",
    "Visibility",
]


def __getattr__(name: str) -> object:
    # Reading does not need the writer, and loading an object only reads.
    if name not in ("ElfWriter", "SymbolHandle"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from osmia.elf import writer

    found: object = getattr(writer, name)
    globals()[name] = found
    return found
