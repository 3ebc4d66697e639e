"""Versions of symbols: what a library calls `foo@V1` and `foo@@V2`.

Each dynamic symbol has a number in `.gnu.version`, which `.gnu.version_d` gives a name; the
layouts are those of the Linux Standard Base (Core, "Symbol Versioning").
"""

from __future__ import annotations

from struct import Struct

from osmia.elf.format import SectionType
from osmia.elf.model import Section
from osmia.elf.reader import ElfFile
from osmia.elf.strings import StringTable
from osmia.errors import ObjectFormatError
from osmia.named_tuples import NamedTuple

_HIDDEN = 0x8000  # of versions that are not the default one
_UNVERSIONED = 1  # VER_NDX_GLOBAL; 0 is VER_NDX_LOCAL


class SymbolVersion(NamedTuple):
    """A version's name, and whether the name without a version means this one."""

    name: str
    default: bool


def symbol_versions(elf: ElfFile) -> dict[int, SymbolVersion]:
    """The versions of defined dynamic symbols, by their index; {} where there are none.

    Raises ObjectFormatError for tables that are broken.
    """
    numbers = _section(elf, SectionType.GNU_VERSYM)
    definitions = _section(elf, SectionType.GNU_VERDEF)
    if numbers is None or definitions is None:
        return {}
    names = _version_names(elf, definitions)
    order = "<" if elf.byteorder == "little" else ">"
    versions = {}
    whole = numbers.data[: len(numbers.data) // 2 * 2]
    for index, (number,) in enumerate(Struct(order + "H").iter_unpack(whole)):
        name = names.get(number & ~_HIDDEN)
        if name is not None and number & ~_HIDDEN > _UNVERSIONED:
            versions[index] = SymbolVersion(name, not number & _HIDDEN)
    return versions


def _section(elf: ElfFile, kind: SectionType) -> Section | None:
    return next((each for each in elf.sections if each.type == kind), None)


def _version_names(elf: ElfFile, section: Section) -> dict[int, str]:
    """The names of the versions that the file defines, by number."""
    order = "<" if elf.byteorder == "little" else ">"
    definition, first = Struct(order + "4H3I"), Struct(order + "2I")  # Elf64_Verdef, _Verdaux
    if section.link >= len(elf.sections):
        raise ObjectFormatError("versions without names", file=elf.name, offset=section.offset)
    table = elf.sections[section.link]
    strings = StringTable(table.data.tobytes(), file=elf.name, offset=table.offset)
    names: dict[int, str] = {}
    position, data = 0, section.data
    for _ in range(section.info):  # sh_info: how many there are
        if position + definition.size > len(data):
            fault = "a version definition ends beyond its section"
            raise ObjectFormatError(fault, file=elf.name, offset=section.offset + position)
        _, _, number, _, _, name_at, step = definition.unpack_from(data, position)
        if position + name_at + first.size > len(data):
            fault = "a version's name ends beyond its section"
            raise ObjectFormatError(fault, file=elf.name, offset=section.offset + position)
        names[number] = strings[first.unpack_from(data, position + name_at)[0]]
        if not step:
            break
        position += step
    return names
