"""Addresses in data, as relocations of an ELF file say them: a symbol, and the rest in place.

The bytes at the place stay what they are wherever some symbol makes that right: an engine that
knows no relocations of data shows programs these bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

from osmia.elf import R_BPF_64_ABS32, R_BPF_64_ABS64, SymbolHandle
from osmia.errors import RelocationError
from osmia.formats.elf_symbol_writer import SymbolWriter
from osmia.object.model import (
    DataKind,
    DataSection,
    Linkage,
    Object,
    Relocation,
    RelocationKind,
)
from osmia.records import dataclass

#: The relocations' types by the size of the address in bytes.
_TYPES = {8: R_BPF_64_ABS64, 4: R_BPF_64_ABS32}


@dataclass(frozen=True, slots=True)
class Pointer:
    """An address at `offset` of a section: of the symbol that `key` has among `symbols`."""

    offset: int
    type: int
    symbols: dict[str, SymbolHandle]
    key: str


class PointerWriter:
    """Says for each section's relocations what its bytes and its ELF relocations are."""

    def __init__(
        self, obj: Object, symbols: SymbolWriter, functions_at: Mapping[str, tuple[str, int]]
    ) -> None:
        self.obj = obj
        self.symbols = symbols
        self.functions_at = functions_at
        self.byteorder = cast("Literal['little', 'big']", obj.byteorder)
        self.undeclared: set[str] = set()
        self.variables: dict[str, dict[int, list[tuple[str, bool]]]] = {}

    def write(self, section: DataSection) -> tuple[bytes, list[Pointer]]:
        """The section's contents, and its pointers. RelocationError for what cannot be."""
        contents = bytearray(section.contents)
        pointers = []
        for relocation in section.relocations:
            start, end = relocation.offset, relocation.offset + relocation.size
            kind = _TYPES.get(relocation.size)
            if kind is None or start < 0 or end > len(contents):
                raise RelocationError(
                    f"section {section.name!r}: no address of {relocation.size} bytes at {start}"
                )
            stored = int.from_bytes(contents[start:end], self.byteorder, signed=True)
            symbols, key, rest = self._symbol(section, relocation, stored)
            if rest != stored:
                contents[start:end] = self._packed(section, relocation, rest)
            pointers.append(Pointer(start, kind, symbols, key))
        return bytes(contents), pointers

    def _symbol(
        self, section: DataSection, relocation: Relocation, stored: int
    ) -> tuple[dict[str, SymbolHandle], str, int]:
        """The symbol to add to, and what: what is stored there, if that comes out right."""
        name, addend = relocation.target, relocation.addend
        match relocation.kind:
            case RelocationKind.DATA if name in self.obj.data_sections:
                if self.obj.data_sections[name].kind is not DataKind.KCONFIG:
                    return self._in_data(name, addend, stored)
            case RelocationKind.FUNCTION if name in self.functions_at:
                code, start = self.functions_at[name]
                if stored == start + addend != addend:
                    return self.symbols.sections, code, stored
                return self.symbols.functions, name, addend
            case RelocationKind.MAP if name in self.obj.maps:
                return self.symbols.maps, name, addend
            case RelocationKind.EXTERN:
                if name not in self.obj.externs and name not in self.undeclared:
                    self.undeclared.add(name)
                    self.symbols.add_extern(name)
                return self.symbols.externs, name, addend
        raise RelocationError(
            f"section {section.name!r}: there is no {relocation.kind.value} {name!r}"
        )

    def _packed(self, section: DataSection, relocation: Relocation, number: int) -> bytes:
        bits = 8 * relocation.size
        if not -(1 << bits - 1) <= number < 1 << bits:
            raise RelocationError(
                f"section {section.name!r}: {number} is no address of {relocation.size} bytes"
            )
        return (number % (1 << bits)).to_bytes(relocation.size, self.byteorder)

    def _in_data(
        self, name: str, address: int, stored: int
    ) -> tuple[dict[str, SymbolHandle], str, int]:
        for key, visible in self._variables(name).get(address - stored, ()):
            if visible or stored != address:
                return self.symbols.variables, key, stored
        return self.symbols.sections, name, address

    def _variables(self, section: str) -> dict[int, list[tuple[str, bool]]]:
        """By offset: the keys of a section's variables, and whether others can see them."""
        found = self.variables.get(section)
        if found is None:
            found = self.variables[section] = {}
            for key, variable in self.obj.data_sections[section].variables.items():
                visible = variable.linkage is not Linkage.STATIC
                found.setdefault(variable.offset, []).append((key, visible))
        return found
