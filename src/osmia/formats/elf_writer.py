"""The ELF back end: an Object to the bytes of a relocatable file in libbpf's dialect.

What the front end `libbpf.py` reads back is the same object. Code is written as it is, but
for immediates that a relocation replaces at load anyway.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Mapping

from osmia.btf import DataSec, Kind
from osmia.elf import (
    R_BPF_64_32,
    R_BPF_64_64,
    R_BPF_64_ABS64,
    ElfWriter,
    SectionFlag,
    SectionType,
    SymbolHandle,
    SymbolType,
)
from osmia.errors import ObjectFormatError, OsmiaError, RelocationError
from osmia.formats.btf_maps import MAPS_SECTION
from osmia.formats.elf_jump_tables import SECTION as JUMP_TABLES_SECTION
from osmia.formats.elf_other_sections_writer import write_other_sections
from osmia.formats.elf_parts import write_parts
from osmia.formats.elf_pointer_writer import Pointer, PointerWriter
from osmia.formats.elf_symbol_writer import Definition, SymbolWriter
from osmia.formats.elf_types_writer import write_types
from osmia.formats.libbpf import PARTS_SECTION
from osmia.formats.map_declarations import Declarations
from osmia.object.jump_tables import ENTRY_SIZE
from osmia.object.model import (
    DataKind,
    DataSection,
    Function,
    Linkage,
    Object,
    Relocation,
    RelocationKind,
)
from osmia.object.uapi import MapType
from osmia.object.unrelocated import unrelocated_code

_CODE = SectionFlag.ALLOC | SectionFlag.EXECINSTR
_WRITABLE = SectionFlag.ALLOC | SectionFlag.WRITE
_SLOT = 8


def write_object(obj: Object) -> bytes:
    """The bytes of an ELF file that says what `obj` says.

    Raises RelocationError for code that names what the object does not have, and for what
    passes resolved against a running kernel; ObjectFormatError for what ELF or BTF cannot hold.
    """
    try:
        return _ObjectWriter(obj).write()
    except ValueError as error:
        if isinstance(error, OsmiaError):
            raise
        raise ObjectFormatError(str(error), file=obj.path or None) from error


class _ObjectWriter:
    def __init__(self, obj: Object) -> None:
        self.obj = obj
        self.order = "<" if obj.byteorder == "little" else ">"
        self.elf = ElfWriter(byteorder=obj.byteorder)
        self.symbols = SymbolWriter(self.elf)
        self.functions_at: dict[str, tuple[str, int]] = {}
        self.variables_at = _visible_variables(obj)
        self.sections: dict[str, int] = {}
        self.pointers: dict[int, list[Pointer]] = {}

    def write(self) -> bytes:
        by_section: dict[str, dict[str, Function]] = defaultdict(dict)
        sizes: dict[str, int] = defaultdict(int)
        for key, function in self.obj.functions.items():
            self.functions_at[key] = (function.section, sizes[function.section])
            sizes[function.section] += len(function.code)
            by_section[function.section][key] = function
        for section, functions in by_section.items():
            self._add_code(section, functions)
        self._add_jump_tables()
        self._add_data()
        write_other_sections(self.obj, self.elf, self.symbols)
        declarations = self._add_btf()
        self._add_maps(declarations)
        self._add_texts()
        if self.obj.parts:
            self._add_section(
                PARTS_SECTION, SectionType.PROGBITS, 0, write_parts(self.obj.parts), 1
            )
        self._add_externs()
        self.symbols.add_all()
        for key, function in self.obj.functions.items():
            self._relocate(key, function)
        self._relocate_maps(declarations)
        for index, pointers in self.pointers.items():
            for each in pointers:
                self.elf.add_relocation(index, each.offset, each.symbols[each.key], each.type)
        return self.elf.to_bytes()

    def _add_section(
        self, name: str, kind: int, flags: int, data: bytes, alignment: int = 8, size: int = 0
    ) -> int:
        index = self.elf.add_section(
            name,
            kind,
            flags,
            b"" if size else data,
            alignment=alignment,
            size=size or len(data),
        )
        self.sections[name] = index
        return index

    def _add_code(self, section: str, functions: dict[str, Function]) -> None:
        code = b"".join(self._code(function) for function in functions.values())
        index = self._add_section(section, SectionType.PROGBITS, _CODE, code)
        self.symbols.add_section(section, index)
        for key, function in functions.items():
            definition = Definition(
                function.name,
                self.functions_at[key][1],
                len(function.code),
                SymbolType.FUNC,
                index,
                function.linkage,
                function.weak,
                function.hidden,
                function.file,
            )
            self.symbols.define(self.symbols.functions, key, definition)

    def _code(self, function: Function) -> bytes:
        code = bytearray(unrelocated_code(function, self.obj.byteorder))
        for relocation in function.relocations:
            if self._is_static(relocation):
                _, start = self.functions_at[relocation.target]
                struct.pack_into(f"{self.order}I", code, relocation.offset + 4, start)
            elif self._variable(relocation) is not None:
                struct.pack_into(f"{self.order}I", code, relocation.offset + 4, 0)
        return bytes(code)

    def _variable(self, relocation: Relocation) -> str | None:
        """The variable that others can see and whose address it is: named by its symbol, so that
        a linker may put another definition in its place."""
        if relocation.kind is not RelocationKind.DATA:
            return None
        return self.variables_at.get((relocation.target, relocation.addend))

    def _is_static(self, relocation: Relocation) -> bool:
        """Whether it is the address of a static function: by its section's symbol and a distance,
        as compilers write it and libbpf wants it."""
        if relocation.kind is not RelocationKind.FUNCTION:
            return False
        target = self.obj.functions.get(relocation.target)
        return target is not None and target.linkage is Linkage.STATIC

    def _add_jump_tables(self) -> None:
        """Section `.jumptables`: places in the code sections, as clang writes them."""
        tables = self.obj.jump_tables.values()
        if not tables:
            return
        entries, starts = bytearray(), {}
        for table in tables:
            if table.function not in self.functions_at:
                raise RelocationError(
                    f"jump table {table.name!r} is for function {table.function!r}, which the"
                    " object does not have"
                )
            starts[table.name] = len(entries)
            begin = self.functions_at[table.function][1]
            places = [begin + _SLOT * target for target in table.targets]
            entries += struct.pack(f"{self.order}{len(places)}Q", *places)
        index = self._add_section(JUMP_TABLES_SECTION, SectionType.PROGBITS, 0, bytes(entries))
        for table in tables:
            size = len(table.targets) * ENTRY_SIZE
            definition = Definition(table.name, starts[table.name], size, SymbolType.OBJECT, index)
            self.symbols.define(self.symbols.jump_tables, table.name, definition)

    def _add_data(self) -> None:
        writer = PointerWriter(self.obj, self.symbols, self.functions_at)
        for section in self.obj.data_sections.values():
            if section.kind is DataKind.KCONFIG:
                continue  # made at load, from externs
            contents, pointers = writer.write(section)
            index = self._add_contents(section, contents)
            self.pointers[index] = pointers
            self.symbols.add_section(section.name, index)
            for key, variable in section.variables.items():
                definition = Definition(
                    variable.name,
                    variable.offset,
                    variable.size,
                    SymbolType.OBJECT,
                    index,
                    variable.linkage,
                    variable.weak,
                    variable.hidden,
                    variable.file,
                )
                self.symbols.define(self.symbols.variables, key, definition)

    def _add_contents(self, section: DataSection, contents: bytes) -> int:
        flags = SectionFlag.ALLOC if section.kind is DataKind.RODATA else _WRITABLE
        alignment = section.alignment
        if section.kind is DataKind.BSS and not any(contents):
            kind, size = SectionType.NOBITS, len(contents)
            return self._add_section(section.name, kind, flags, b"", alignment, size)
        return self._add_section(section.name, SectionType.PROGBITS, flags, contents, alignment)

    def _add_btf(self) -> Declarations:
        types = write_types(self.obj, self.functions_at)
        if types is None:
            return Declarations()
        self._add_section(".BTF", SectionType.PROGBITS, 0, types.btf)
        if types.ext:
            self._add_section(".BTF.ext", SectionType.PROGBITS, 0, types.ext)
        return types.declarations

    def _add_maps(self, declarations: Declarations) -> None:
        if not declarations.maps:
            return
        index = self._add_section(
            MAPS_SECTION, SectionType.PROGBITS, _WRITABLE, bytes(declarations.size)
        )
        for declared in declarations.maps:
            definition = self.obj.maps[declared.name]
            symbol = Definition(
                declared.name,
                declared.offset,
                declared.size,
                SymbolType.OBJECT,
                index,
                weak=definition.weak,
                hidden=definition.hidden,
            )
            self.symbols.define(self.symbols.maps, declared.name, symbol)

    def _add_texts(self) -> None:
        """Sections `license` and `version`, with the variables that BTF names in them."""
        if self.obj.license:
            text = self.obj.license.encode("utf-8", "surrogateescape") + b"\0"
            self._add_text("license", text, 1)
        if self.obj.kernel_version:
            self._add_text("version", struct.pack(f"{self.order}I", self.obj.kernel_version), 4)

    def _add_text(self, name: str, data: bytes, alignment: int) -> None:
        index = self._add_section(name, SectionType.PROGBITS, _WRITABLE, data, alignment)
        btf = self.obj.btf
        datasec = btf.type(btf.find(name, Kind.DATASEC)) if btf is not None else None
        variables = [(f"_{name}", 0, len(data))]
        if btf is not None and isinstance(datasec, DataSec):
            variables = [(btf.name_of(e.type_id), e.offset, e.size) for e in datasec.entries]
        for variable, offset, size in variables:
            self.elf.add_symbol(variable, offset, size, type=SymbolType.OBJECT, section=index)

    def _add_externs(self) -> None:
        for extern in self.obj.externs.values():
            self.symbols.add_extern(extern.name, weak=extern.weak, hidden=extern.hidden)

    def _relocate(self, key: str, function: Function) -> None:
        section, start = self.functions_at[key]
        for relocation in function.relocations:
            calls = (RelocationKind.CALL, RelocationKind.EXTERN_CALL)
            self.elf.add_relocation(
                self.sections[section],
                start + relocation.offset,
                self._target(f"function {key!r}", relocation),
                R_BPF_64_32 if relocation.kind in calls else R_BPF_64_64,
            )

    def _target(self, where: str, relocation: Relocation) -> SymbolHandle:
        symbols, name = self.symbols, relocation.target
        match relocation.kind:
            case RelocationKind.FUNCTION if self._is_static(relocation):
                return symbols.sections[self.functions_at[name][0]]
            case RelocationKind.CALL | RelocationKind.FUNCTION:
                return _known(symbols.functions, name, where, "function")
            case RelocationKind.MAP:  # or struct_ops, which become maps
                maps = symbols.maps if name in symbols.maps else symbols.variables
                return _known(maps, name, where, "map")
            case RelocationKind.EXTERN | RelocationKind.EXTERN_CALL:
                return _known(symbols.externs, name, where, "extern")
            case RelocationKind.JUMP_TABLE:
                return _known(symbols.jump_tables, name, where, "jump table")
            case RelocationKind.DATA if (key := self._variable(relocation)) is not None:
                return symbols.variables[key]
            case RelocationKind.DATA:
                return _known(symbols.sections, name, where, "section")
        raise RelocationError(
            f"{where} names what a running kernel has; write the object as it was opened"
        )

    def _relocate_maps(self, declarations: Declarations) -> None:
        symbols = self.symbols
        for declared in declarations.maps:
            holds_programs = self.obj.maps[declared.name].type is MapType.PROG_ARRAY
            targets = symbols.functions if holds_programs else symbols.maps
            for offset, name in declared.values:
                named = symbols.externs if name in self.obj.externs else targets
                symbol = _known(named, name, f"map {declared.name!r}", "value")
                index = self.sections[MAPS_SECTION]
                self.elf.add_relocation(index, offset, symbol, R_BPF_64_ABS64)


def _visible_variables(obj: Object) -> dict[tuple[str, int], str]:
    """The keys of variables that are not static, by section and offset."""
    return {
        (section.name, variable.offset): key
        for section in obj.data_sections.values()
        if section.kind is not DataKind.KCONFIG
        for key, variable in section.variables.items()
        if variable.linkage is not Linkage.STATIC
    }


def _known(symbols: Mapping[str, SymbolHandle], name: str, where: str, kind: str) -> SymbolHandle:
    handle = symbols.get(name)
    if handle is None:
        raise RelocationError(f"{where}: there is no {kind} {name!r}")
    return handle
