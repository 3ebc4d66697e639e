"""ELF64 files: read and write. Nothing here is specific to BPF."""

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
