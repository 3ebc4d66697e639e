"""Functions of a BPF ELF file: their code, with every relocation turned into a name."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from operator import attrgetter

from osmia.elf import Binding, Symbol, SymbolType
from osmia.errors import ObjectFormatError
from osmia.formats.code_info import CodeInfo
from osmia.formats.elf_jump_tables import JumpTableReader
from osmia.formats.elf_symbols import HIDDEN, INSTRUCTION_SIZE, CodeRange, CodeSection, SymbolTable
from osmia.object.model import (
    DataKind,
    Function,
    Linkage,
    Object,
    Relocation,
    RelocationKind,
)

CALL = 0x85
LD_IMM64 = 0x18
PSEUDO_CALL = 1  # source register of a call: a BPF function (BPF_PSEUDO_CALL)
PSEUDO_FUNC = 4  # source register of ld_imm64: a BPF function's address (BPF_PSEUDO_FUNC)
#: Source registers by the byte with both, where that is the upper half of it and the lower.
_SOURCES = {4: bytes(byte >> 4 for byte in range(256)), 0: bytes(byte & 15 for byte in range(256))}
#: What an instruction begins with that refers to a place of its own section.
_LOCAL_REFERENCES = (
    (bytes((CALL, PSEUDO_CALL)), RelocationKind.CALL),
    (bytes((LD_IMM64, PSEUDO_FUNC)), RelocationKind.FUNCTION),
)
# Named here: asking an enumeration for a member takes as long as ten of what is done with it.
_LOCAL, _SECTION, _MAP = Binding.LOCAL, SymbolType.SECTION, RelocationKind.MAP
_offset = attrgetter("offset")


class CodeReader:
    """Reads the functions of one file into `target`, whose maps, data and externs are there."""

    def __init__(
        self,
        table: SymbolTable,
        target: Object,
        info: CodeInfo,
        maps_at: dict[tuple[int, int], str],
    ) -> None:
        self.table = table
        self.target = target
        self.info = info
        self.maps_at = maps_at  # (section, offset) of a map's symbol: its name
        self.jump_tables = JumpTableReader(table, target)
        self.file = table.elf.name
        self.imm = struct.Struct("<i" if table.elf.byteorder == "little" else ">i")
        self.source_shift = 4 if table.elf.byteorder == "little" else 0

    def read(self) -> None:
        """Fill `target.functions`."""
        for code in self.table.code.values():
            relocations = self._relocations(code)
            for place in code.ranges:
                function = self._function(code, place, relocations.get(place.key, []))
                self.target.functions[place.key] = function

    def _function(
        self, code: CodeSection, place: CodeRange, relocations: list[Relocation]
    ) -> Function:
        section = code.section.name
        packed = bytes(code.section.data[place.start : place.end])
        local = self._local_references(code, place, packed, relocations)
        if local:
            relocations = sorted([*relocations, *local], key=_offset)
        symbol = place.symbol
        return Function(
            name=symbol.name,
            section=section,
            code=packed,
            relocations=tuple(relocations),
            core_relocations=self.info.core_relocations(section, place.start, place.end),
            line_info=self.info.lines(section, place.start, place.end),
            btf_id=self.info.function_id(section, place.start),
            linkage=Linkage.STATIC if symbol.binding is _LOCAL else Linkage.GLOBAL,
            weak=symbol.binding is Binding.WEAK,
            hidden=symbol.visibility in HIDDEN,
            file=self.table.file_of(symbol),
        )

    def _relocations(self, code: CodeSection) -> dict[str, list[Relocation]]:
        found: dict[str, list[Relocation]] = {}
        symbols = self.table.elf.symbols
        for entry in self.table.elf.relocations(code.section):
            place = code.at(entry.offset)
            if place is None and entry.offset + INSTRUCTION_SIZE <= code.section.size:
                continue  # in what libbpf's linker leaves of weak functions that lost
            if place is None or entry.offset % INSTRUCTION_SIZE:
                raise self._error(code, entry.offset, "a relocation outside every instruction")
            if entry.symbol >= len(symbols):
                raise self._error(code, entry.offset, f"symbol {entry.symbol} does not exist")
            relocation = self._relocation(code, place, entry.offset, symbols[entry.symbol])
            found.setdefault(place.key, []).append(relocation)
        return found

    def _relocation(
        self, code: CodeSection, place: CodeRange, offset: int, symbol: Symbol
    ) -> Relocation:
        data = code.section.data
        opcode, registers = data[offset], data[offset + 1]
        (imm,) = self.imm.unpack_from(data, offset + 4)
        at = offset - place.start
        if opcode == CALL:
            return self._call(code, offset, at, imm, registers, symbol)
        if opcode == LD_IMM64 and offset + 16 <= place.end:
            return self._address(code, place, offset, imm, symbol)
        raise self._error(
            code, offset, f"relocation of {symbol.name!r} at opcode {opcode:#04x}, no call or load"
        )

    def _call(
        self,
        code: CodeSection,
        offset: int,
        at: int,
        imm: int,
        registers: int,
        symbol: Symbol,
    ) -> Relocation:
        if symbol.section == 0:
            self._known_extern(code, offset, symbol)
            return Relocation(at, RelocationKind.EXTERN_CALL, symbol.name)
        if (registers >> self.source_shift) & 0xF != PSEUDO_CALL:
            raise self._error(code, offset, f"the call of {symbol.name!r} is no function call")
        callee = symbol.value + (imm + 1) * INSTRUCTION_SIZE
        return Relocation(
            at, RelocationKind.CALL, self._function_at(code, offset, symbol.section, callee)
        )

    def _address(
        self, code: CodeSection, place: CodeRange, offset: int, imm: int, symbol: Symbol
    ) -> Relocation:
        at = offset - place.start
        if symbol.section == 0:
            self._known_extern(code, offset, symbol)
            return Relocation(at, RelocationKind.EXTERN, symbol.name, imm)
        # Static maps are named by their place in the section, others by their symbols.
        unnamed = imm if symbol.type is _SECTION else 0
        map_name = self.maps_at.get((symbol.section, symbol.value + unnamed))
        if map_name is not None:
            return Relocation(at, _MAP, map_name)
        if symbol.section in self.table.code:
            key = self._function_at(code, offset, symbol.section, symbol.value + imm)
            return Relocation(at, RelocationKind.FUNCTION, key)
        if symbol.section in self.table.data:
            return self._data(code, place, offset, symbol, symbol.value + imm)
        if self.jump_tables.holds(symbol):
            return self.jump_tables.reference(code, place, offset, symbol, imm)
        sections = self.table.elf.sections
        where = sections[symbol.section].name if symbol.section < len(sections) else symbol.section
        raise self._error(
            code, offset, f"a reference to {symbol.name!r} in {where!r}, which is neither map,"
            " data nor code"
        )  # fmt: skip

    def _data(
        self, code: CodeSection, place: CodeRange, offset: int, symbol: Symbol, address: int
    ) -> Relocation:
        at = offset - place.start
        section = self.table.elf.sections[symbol.section]
        if self.table.data[symbol.section] is DataKind.STRUCT_OPS:
            known = self.target.data_sections[section.name].variable_at(address)
            return Relocation(at, RelocationKind.MAP, known or symbol.name)
        if not 0 <= address <= section.size:
            raise self._error(
                code, offset, f"{symbol.name!r} at {address:#x} lies outside {section.name!r}"
            )
        labels = self.jump_tables.static_reference(code, place, offset, section, address)
        return labels or Relocation(at, RelocationKind.DATA, section.name, address)

    def _local_references(
        self, code: CodeSection, place: CodeRange, packed: bytes, relocations: list[Relocation]
    ) -> list[Relocation]:
        """Calls and function addresses within the section that the compiler left unrelocated."""
        places = list(_local_references(packed, self.source_shift))
        if not places:
            return []
        relocated = {relocation.offset for relocation in relocations}
        found = []
        for at, kind in places:
            if at not in relocated:
                (imm,) = self.imm.unpack_from(packed, at + 4)
                callee = place.start + at + (imm + 1) * INSTRUCTION_SIZE
                key = self._function_at(code, place.start + at, code.section.index, callee)
                found.append(Relocation(at, kind, key))
        return found

    def _function_at(self, code: CodeSection, offset: int, section: int, start: int) -> str:
        target = self.table.code.get(section)
        place = target.starting_at(start) if target is not None else None
        if place is None:
            raise self._error(
                code, offset, f"no function starts at {start:#x} of section {section}"
            )
        return place.key

    def _known_extern(self, code: CodeSection, offset: int, symbol: Symbol) -> None:
        if symbol.name not in self.target.externs:
            raise self._error(
                code, offset, f"{symbol.name!r} is not defined here, and no BTF declares it extern"
            )

    def _error(self, code: CodeSection, offset: int, message: str) -> ObjectFormatError:
        return ObjectFormatError(
            f"section {code.section.name!r}: {message}", file=self.file, offset=offset
        )


def _local_references(packed: bytes, source_shift: int) -> Iterator[tuple[int, RelocationKind]]:
    """Where instructions are that refer to a place of their section, told or not."""
    starts = bytearray(len(packed) // 4)  # the opcode and source register of each
    starts[0::2] = packed[0::8]
    starts[1::2] = packed[1::8].translate(_SOURCES[source_shift])
    for wanted, kind in _LOCAL_REFERENCES:
        position = starts.find(wanted)
        while position >= 0:
            if not position % 2:
                yield position * 4, kind
            position = starts.find(wanted, position + 1)
