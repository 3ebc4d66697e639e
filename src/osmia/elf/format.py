"""The numbers and layouts of ELF, as the System V ABI (gABI, chapters 4 and 5) has them.

BPF objects are ELF64; programs and libraries that probes hang on may be ELF32 too.
"""

from __future__ import annotations

from functools import cache
from struct import Struct

from osmia.enums import IntEnum, IntFlag
from osmia.records import dataclass

MAGIC = b"\x7fELF"
CLASS_32, CLASS_64 = 1, 2
VERSION_CURRENT = 1

#: EI_DATA, by the name that `int.from_bytes` takes.
BYTE_ORDERS = {1: "little", 2: "big"}

#: e_machine. Compilers before LLVM 4 left it 0 in BPF objects.
EM_NONE = 0
EM_BPF = 247

#: Special section indexes of symbols (st_shndx) and of the header (e_shstrndx).
SHN_UNDEF = 0
SHN_LORESERVE = 0xFF00
SHN_ABS = 0xFFF1
SHN_COMMON = 0xFFF2
SHN_XINDEX = 0xFFFF

#: e_phnum when the real number stands in sh_info of section 0.
PN_XNUM = 0xFFFF

#: Relocation types of EM_BPF; Documentation/bpf/llvm_reloc.rst.
R_BPF_64_64 = 1
R_BPF_64_ABS64 = 2
R_BPF_64_ABS32 = 3
R_BPF_64_NODYLD32 = 4
R_BPF_64_32 = 10


class FileType(IntEnum):
    """e_type."""

    NONE = 0
    REL = 1
    EXEC = 2
    DYN = 3
    CORE = 4


class SectionType(IntEnum):
    """sh_type. Types that are not here stay plain integers in `Section.type`."""

    NULL = 0
    PROGBITS = 1
    SYMTAB = 2
    STRTAB = 3
    RELA = 4
    HASH = 5
    DYNAMIC = 6
    NOTE = 7
    NOBITS = 8
    REL = 9
    DYNSYM = 11
    SYMTAB_SHNDX = 18
    GNU_VERDEF = 0x6FFFFFFD
    GNU_VERSYM = 0x6FFFFFFF


class SectionFlag(IntFlag):
    """sh_flags."""

    WRITE = 0x1
    ALLOC = 0x2
    EXECINSTR = 0x4
    MERGE = 0x10
    STRINGS = 0x20
    INFO_LINK = 0x40
    LINK_ORDER = 0x80
    GROUP = 0x200
    TLS = 0x400
    COMPRESSED = 0x800


class Binding(IntEnum):
    """The upper half of st_info."""

    LOCAL = 0
    GLOBAL = 1
    WEAK = 2
    GNU_UNIQUE = 10


class SymbolType(IntEnum):
    """The lower half of st_info."""

    NOTYPE = 0
    OBJECT = 1
    FUNC = 2
    SECTION = 3
    FILE = 4
    COMMON = 5
    TLS = 6
    GNU_IFUNC = 10


class Visibility(IntEnum):
    """The low two bits of st_other."""

    DEFAULT = 0
    INTERNAL = 1
    HIDDEN = 2
    PROTECTED = 3


@dataclass(frozen=True, slots=True)
class Layouts:
    """The structures of one class and byte order, compiled once.

    ELF32 has the members of symbols and segments in another order: `symbol_order` and
    `segment_order` say where those of ELF64 are.
    """

    header: Struct  # ElfN_Ehdr after e_ident
    section: Struct  # ElfN_Shdr
    segment: Struct  # ElfN_Phdr
    symbol: Struct  # ElfN_Sym
    rel: Struct  # Elf64_Rel
    rela: Struct  # Elf64_Rela
    word: Struct  # ElfN_Word
    segment_order: tuple[int, ...] | None = None
    symbol_order: tuple[int, ...] | None = None


IDENT_SIZE = 16
HEADER_SIZE = 64
SECTION_HEADER_SIZE = 64
SYMBOL_SIZE = 24
REL_SIZE = 16
RELA_SIZE = 24


@cache
def layouts(byteorder: str, elf_class: int = CLASS_64) -> Layouts:
    """The structures for "little" or "big", of ELF64 or ELF32."""
    order = "<" if byteorder == "little" else ">"
    if elf_class == CLASS_32:
        return Layouts(
            header=Struct(order + "HHIIIIIHHHHHH"),
            section=Struct(order + "10I"),
            segment=Struct(order + "8I"),
            symbol=Struct(order + "IIIBBH"),
            rel=Struct(order + "II"),
            rela=Struct(order + "IIi"),
            word=Struct(order + "I"),
            segment_order=(0, 6, 1, 2, 3, 4, 5, 7),
            symbol_order=(0, 3, 4, 5, 1, 2),
        )
    return Layouts(
        header=Struct(order + "HHIQQQIHHHHHH"),
        section=Struct(order + "IIQQQQIIQQ"),
        segment=Struct(order + "IIQQQQQQ"),
        symbol=Struct(order + "IBBHQQ"),
        rel=Struct(order + "QQ"),
        rela=Struct(order + "QQq"),
        word=Struct(order + "I"),
    )
