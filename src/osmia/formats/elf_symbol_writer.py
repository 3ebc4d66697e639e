"""The symbols of an object that becomes an ELF file: by what they stand for, and in ELF's order.

Names may repeat: static functions and variables of one name are told apart by the source
file, whose symbol stands before those that are from it.
"""

from __future__ import annotations

from osmia.elf import SHN_ABS, Binding, ElfWriter, SymbolHandle, SymbolType, Visibility
from osmia.object.model import Linkage
from osmia.records import dataclass


@dataclass(frozen=True, slots=True)
class Definition:
    """A symbol to be: `value` in bytes from the start of the section with that index."""

    name: str
    value: int
    size: int
    type: SymbolType
    section: int
    linkage: Linkage = Linkage.GLOBAL
    weak: bool = False
    hidden: bool = False
    file: str = ""

    @property
    def binding(self) -> Binding:
        """Whether others see it."""
        if self.linkage is Linkage.STATIC:
            return Binding.LOCAL
        return Binding.WEAK if self.weak else Binding.GLOBAL

    @property
    def visibility(self) -> Visibility:
        """Which others see it."""
        return Visibility.HIDDEN if self.hidden else Visibility.DEFAULT


class SymbolWriter:
    """Collects definitions; after `add_all` each has a handle, by its key and what it is."""

    def __init__(self, elf: ElfWriter) -> None:
        self.elf = elf
        self.functions: dict[str, SymbolHandle] = {}
        self.variables: dict[str, SymbolHandle] = {}
        self.maps: dict[str, SymbolHandle] = {}
        self.jump_tables: dict[str, SymbolHandle] = {}
        self.externs: dict[str, SymbolHandle] = {}
        self.sections: dict[str, SymbolHandle] = {}
        self._waiting: dict[str, list[tuple[dict[str, SymbolHandle], str, Definition]]] = {"": []}

    def define(self, kind: dict[str, SymbolHandle], key: str, definition: Definition) -> None:
        """Let `definition` be the symbol of `key` in `kind`, one of the dictionaries here."""
        self._waiting.setdefault(definition.file, []).append((kind, key, definition))

    def add_section(self, name: str, index: int) -> None:
        """The symbol of a whole section."""
        section = Definition("", 0, 0, SymbolType.SECTION, index, Linkage.STATIC)
        self.define(self.sections, name, section)

    def add_extern(self, name: str, *, weak: bool = False, hidden: bool = False) -> None:
        """The symbol of what the object names and does not define."""
        extern = Definition(name, 0, 0, SymbolType.NOTYPE, 0, weak=weak, hidden=hidden)
        self.define(self.externs, name, extern)

    def add_all(self) -> None:
        """Put them into the file: first those of no file, then file by file."""
        for file, definitions in self._waiting.items():
            if file:
                self.elf.add_symbol(
                    file, binding=Binding.LOCAL, type=SymbolType.FILE, section=SHN_ABS
                )
            for kind, key, each in definitions:
                kind[key] = self.elf.add_symbol(
                    each.name,
                    each.value,
                    each.size,
                    each.binding,
                    each.type,
                    each.visibility,
                    each.section,
                )
        self._waiting = {"": []}
