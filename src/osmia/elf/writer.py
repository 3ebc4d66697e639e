"""Write ELF64 relocatable files: sections, symbols and relocations in, bytes out."""

from __future__ import annotations

from typing import NewType

from osmia.arguments import names_wrong_arguments
from osmia.elf.format import (
    BYTE_ORDERS,
    CLASS_64,
    EM_BPF,
    HEADER_SIZE,
    MAGIC,
    REL_SIZE,
    RELA_SIZE,
    SECTION_HEADER_SIZE,
    SHN_ABS,
    SHN_COMMON,
    SHN_LORESERVE,
    SHN_UNDEF,
    SYMBOL_SIZE,
    VERSION_CURRENT,
    Binding,
    FileType,
    SectionFlag,
    SectionType,
    SymbolType,
    Visibility,
    layouts,
)
from osmia.records import dataclass

#: What `ElfWriter.add_symbol` gives; the index in the file is known only at the end.
SymbolHandle = NewType("SymbolHandle", int)

# Offsets in the file need no alignment in a relocatable file; this one keeps every table
# readable in place by those who map the file.
_FILE_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    type: int
    flags: int
    data: bytes | bytearray | memoryview
    size: int
    alignment: int
    entry_size: int
    link: int
    info: int


@dataclass(frozen=True, slots=True)
class _Symbol:
    name: str
    value: int
    size: int
    info: int
    other: int
    section: int

    @property
    def is_local(self) -> bool:
        return self.info >> 4 == Binding.LOCAL


@dataclass(frozen=True, slots=True)
class _Relocation:
    offset: int
    symbol: SymbolHandle
    type: int
    addend: int | None


class _Strings:
    """A string table that is being made; equal names share one entry."""

    def __init__(self) -> None:
        self.data = bytearray(1)
        self._offsets = {"": 0}

    def add(self, name: str) -> int:
        offset = self._offsets.get(name)
        if offset is None:
            offset = self._offsets[name] = len(self.data)
            self.data += name.encode("utf-8", "surrogateescape") + b"\0"
        return offset


class ElfWriter:
    """Collects the parts of a relocatable file. `ValueError` for what ELF cannot hold.

    The file gets, after the sections that were added: one `.rel<name>` or `.rela<name>`
    for each section with relocations, `.symtab`, `.strtab` and `.shstrtab`.
    """

    @names_wrong_arguments
    def __init__(self, *, machine: int = EM_BPF, flags: int = 0, byteorder: str = "little") -> None:
        if byteorder not in BYTE_ORDERS.values():
            raise ValueError(f"unknown byte order {byteorder!r}")
        self.byteorder = byteorder
        self._machine = _unsigned(machine, 16, "machine")
        self._flags = _unsigned(flags, 32, "flags")
        self._layouts = layouts(byteorder)
        self._sections = [_Section("", SectionType.NULL, 0, b"", 0, 0, 0, 0, 0)]
        self._symbols: list[_Symbol] = []
        self._relocations: dict[int, list[_Relocation]] = {}

    def add_section(
        self,
        name: str,
        type: int = SectionType.PROGBITS,  # noqa: A002 - the ABI's word
        flags: int = 0,
        data: bytes | bytearray | memoryview = b"",
        *,
        size: int | None = None,
        alignment: int = 1,
        entry_size: int = 0,
        link: int = 0,
        info: int = 0,
    ) -> int:
        """Add a section, return its index in the file.

        `size`, in bytes, is for NOBITS sections, which have no `data`. `data` is copied
        by `to_bytes`, not before.
        """
        if alignment <= 0 or alignment & (alignment - 1):
            raise ValueError(f"alignment {alignment} is not a power of two")
        if size is None:
            size = len(data)
        elif type != SectionType.NOBITS and size != len(data):
            raise ValueError(f"section {name!r} has {len(data)} bytes of data, not {size}")
        if type == SectionType.NOBITS and len(data):
            raise ValueError(f"section {name!r} has no room in the file but data")
        section = _Section(
            _name(name),
            _unsigned(type, 32, "section type"),
            _unsigned(flags, 64, "section flags"),
            data,
            _unsigned(size, 64, "section size"),
            _unsigned(alignment, 64, "alignment"),
            _unsigned(entry_size, 64, "entry size"),
            _unsigned(link, 32, "link"),
            _unsigned(info, 32, "info"),
        )
        self._sections.append(section)
        return len(self._sections) - 1

    def add_symbol(
        self,
        name: str,
        value: int = 0,
        size: int = 0,
        binding: Binding = Binding.GLOBAL,
        type: SymbolType = SymbolType.NOTYPE,  # noqa: A002 - the ABI's word
        visibility: Visibility = Visibility.DEFAULT,
        section: int = SHN_UNDEF,
    ) -> SymbolHandle:
        """Add a symbol, return what `add_relocation` takes.

        `section` is an index from `add_section`, SHN_UNDEF, SHN_ABS or SHN_COMMON; `value`
        an offset into that section in bytes.
        """
        if not 0 <= section < len(self._sections) and section not in (SHN_ABS, SHN_COMMON):
            raise ValueError(f"symbol {name!r} is in section {section}, which is not there")
        symbol = _Symbol(
            _name(name),
            _unsigned(value, 64, "symbol value"),
            _unsigned(size, 64, "symbol size"),
            binding << 4 | type,
            visibility,
            section,
        )
        self._symbols.append(symbol)
        return SymbolHandle(len(self._symbols) - 1)

    def add_relocation(
        self,
        section: int,
        offset: int,
        symbol: SymbolHandle,
        type: int,  # noqa: A002 - the ABI's word
        addend: int | None = None,
    ) -> None:
        """Relocate the bytes at `offset` of a section; an `addend` makes it a RELA one."""
        if not 0 < section < len(self._sections):
            raise ValueError(f"relocation of section {section}, which is not there")
        if not 0 <= offset < self._sections[section].size:
            raise ValueError(f"relocation at {offset:#x}, outside of section {section}")
        if not 0 <= symbol < len(self._symbols):
            raise ValueError(f"relocation against unknown symbol {symbol}")
        if addend is not None and not -(1 << 63) <= addend < 1 << 63:
            raise ValueError(f"addend {addend} does not fit into 64 bits")
        relocation = _Relocation(offset, symbol, _unsigned(type, 32, "relocation type"), addend)
        self._relocations.setdefault(section, []).append(relocation)

    def to_bytes(self) -> bytes:
        """The whole file. The writer stays as it was and can be added to further."""
        sections = [*self._sections, *self._tables()]
        names = _Strings()
        name_offsets = [names.add(section.name) for section in sections]
        name_offsets.append(names.add(".shstrtab"))
        sections.append(_table(".shstrtab", SectionType.STRTAB, names.data, alignment=1))
        if len(sections) >= SHN_LORESERVE:
            raise ValueError(
                f"{len(sections)} sections; ELF numbers {SHN_LORESERVE - 1} without extensions"
            )
        return self._assemble(sections, name_offsets)

    def _tables(self) -> list[_Section]:
        """The sections that the symbols and relocations become."""
        # ELF wants local symbols first; sh_info of the table tells where the others begin.
        order = sorted(
            range(len(self._symbols)), key=lambda handle: not self._symbols[handle].is_local
        )
        indexes = {handle: index for index, handle in enumerate(order, start=1)}
        locals_end = 1 + sum(symbol.is_local for symbol in self._symbols)
        strings = _Strings()
        symbols = self._pack_symbols([self._symbols[handle] for handle in order], strings)
        relocations = self._pack_relocations(indexes)
        symbol_table = len(self._sections) + len(relocations)
        return [
            *(
                _table(
                    prefix + self._sections[target].name,
                    kind,
                    data,
                    flags=SectionFlag.INFO_LINK,
                    entry_size=entry_size,
                    link=symbol_table,
                    info=target,
                )
                for prefix, kind, entry_size, target, data in relocations
            ),
            _table(
                ".symtab",
                SectionType.SYMTAB,
                symbols,
                entry_size=SYMBOL_SIZE,
                link=symbol_table + 1,
                info=locals_end,
            ),
            _table(".strtab", SectionType.STRTAB, strings.data, alignment=1),
        ]

    def _pack_symbols(self, symbols: list[_Symbol], strings: _Strings) -> bytes:
        pack = self._layouts.symbol.pack
        return bytes(SYMBOL_SIZE) + b"".join(
            pack(
                strings.add(symbol.name),
                symbol.info,
                symbol.other,
                symbol.section,
                symbol.value,
                symbol.size,
            )
            for symbol in symbols
        )

    def _pack_relocations(
        self, indexes: dict[int, int]
    ) -> list[tuple[str, SectionType, int, int, bytes]]:
        """Name prefix, type, entry size, target section and contents of each table."""
        rel, rela = self._layouts.rel.pack, self._layouts.rela.pack
        tables = []
        for target, unsorted in sorted(self._relocations.items()):
            relocations = sorted(unsorted, key=lambda relocation: relocation.offset)
            implicit = b"".join(
                rel(r.offset, indexes[r.symbol] << 32 | r.type)
                for r in relocations
                if r.addend is None
            )
            explicit = b"".join(
                rela(r.offset, indexes[r.symbol] << 32 | r.type, r.addend)
                for r in relocations
                if r.addend is not None
            )
            if implicit:
                tables.append((".rel", SectionType.REL, REL_SIZE, target, implicit))
            if explicit:
                tables.append((".rela", SectionType.RELA, RELA_SIZE, target, explicit))
        return tables

    def _assemble(self, sections: list[_Section], name_offsets: list[int]) -> bytes:
        parts: list[bytes | bytearray | memoryview] = []
        headers = bytearray()
        position = HEADER_SIZE
        for section, name in zip(sections, name_offsets, strict=True):
            padding = -position % _FILE_ALIGNMENT
            parts += bytes(padding), section.data
            position += padding
            headers += self._layouts.section.pack(
                name,
                section.type,
                section.flags,
                0,
                position if section.type != SectionType.NULL else 0,
                section.size,
                section.link,
                section.info,
                section.alignment,
                section.entry_size,
            )
            position += len(section.data)
        padding = -position % _FILE_ALIGNMENT
        header = self._header(position + padding, len(sections))
        return b"".join([header, *parts, bytes(padding), headers])

    def _header(self, sections_offset: int, section_count: int) -> bytes:
        encoding = next(key for key, order in BYTE_ORDERS.items() if order == self.byteorder)
        ident = MAGIC + bytes((CLASS_64, encoding, VERSION_CURRENT)) + bytes(9)
        return ident + self._layouts.header.pack(
            FileType.REL,
            self._machine,
            VERSION_CURRENT,
            0,
            0,
            sections_offset,
            self._flags,
            HEADER_SIZE,
            0,
            0,
            SECTION_HEADER_SIZE,
            section_count,
            section_count - 1,
        )


def _table(
    name: str,
    kind: SectionType,
    data: bytes | bytearray,
    *,
    flags: int = 0,
    alignment: int = 8,
    entry_size: int = 0,
    link: int = 0,
    info: int = 0,
) -> _Section:
    return _Section(name, kind, flags, data, len(data), alignment, entry_size, link, info)


def _unsigned(value: int, bits: int, what: str) -> int:
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{what} {value} does not fit into {bits} bits")
    return value


def _name(name: str) -> str:
    if "\0" in name:
        raise ValueError(f"name {name!r} contains NUL")
    return name
