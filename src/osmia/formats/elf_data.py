"""Global data of a BPF ELF file: sections, their variables, and the externs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter

from osmia.btf import BTF, DataSec, Func, Kind, Var, VarLinkage
from osmia.btf.patch import SectionLayout
from osmia.elf import Binding, Section, Symbol, SymbolType
from osmia.errors import ObjectFormatError
from osmia.formats.btf_maps import MAPS_SECTION, DeclarationReader
from osmia.formats.elf_symbols import HIDDEN, SymbolTable
from osmia.object.keys import Named, distinct_keys
from osmia.object.model import DataSection, Extern, ExternKind, Linkage, Variable

_value = attrgetter("value")
_SECTION, _OBJECT = SymbolType.SECTION, SymbolType.OBJECT
EXTERN_SECTIONS = {".kconfig": ExternKind.KCONFIG, ".ksyms": ExternKind.KSYM}


def section_layouts(table: SymbolTable) -> dict[str, SectionLayout]:
    """Sizes and variable offsets of all sections, for `btf.patch.corrected`."""
    layouts = {}
    sections = table.elf.sections
    # What initialises local variables has no symbol, and may be all that is in .rodata.
    unnamed: dict[int, list[Symbol]] = {index: [] for index in table.data}
    for index, symbols in (unnamed | table.by_section).items():
        if index < len(sections):
            section = sections[index]
            if section.size >> 32:
                raise ObjectFormatError(
                    f"section {section.name!r} of {section.size:#x} bytes", file=table.elf.name
                )
            named = [s for s in symbols if s.type is not _SECTION]
            for symbol in named:
                if symbol.value > section.size:
                    raise ObjectFormatError(
                        f"symbol {symbol.name!r} at {symbol.value:#x} lies outside"
                        f" {section.name!r} of {section.size:#x} bytes",
                        file=table.elf.name,
                    )
            offsets = {s.name: s.value for s in named}
            if len(offsets) < len(named):
                # BTF tells where static variables are: these are for what others can see.
                named.sort(key=_is_visible)
                offsets = {s.name: s.value for s in named}
            hidden = frozenset([s.name for s in named if s.visibility in HIDDEN])
            layouts[section.name] = SectionLayout(section.size, offsets, hidden)
    return layouts


def read_data(table: SymbolTable, btf: BTF | None) -> dict[str, DataSection]:
    """The data sections of the file, by section name."""
    found: dict[str, DataSection] = {}
    variables: list[list[Variable]] = []
    for index, kind in table.data.items():
        section = table.elf.sections[index]
        if section.name in found:
            raise ObjectFormatError(f"section {section.name!r} is there twice", file=table.elf.name)
        contents = bytearray(section.data) if len(section.data) else bytearray(section.size)
        datasec = btf.type(btf.find(section.name, Kind.DATASEC)) if btf is not None else None
        variables.append(_variables(table, section, btf, datasec))
        found[section.name] = DataSection(
            name=section.name,
            kind=kind,
            contents=contents,
            btf_id=datasec.id if isinstance(datasec, DataSec) else 0,
            alignment=max(section.alignment, 1),
        )
    keys = _keys(list(found), variables, table.undefined)
    for data, own in zip(found.values(), variables, strict=True):
        data.variables = {next(keys): variable for variable in own}
    return found


def _is_visible(symbol: Symbol) -> bool:
    return symbol.binding is not Binding.LOCAL


def _keys(
    sections: list[str], variables: list[list[Variable]], undefined: Mapping[str, Symbol]
) -> Iterator[str]:
    """The keys of all variables, which come by section.

    A name that the file leaves undefined is an extern's, which may get data of its own.
    """
    names = [variable.name for own in variables for variable in own]
    if len({*names}) == len(names) and undefined.keys().isdisjoint(names):
        return iter(names)
    things = [
        Named(each.name, each.file, section, each.linkage is Linkage.STATIC)
        for section, own in zip(sections, variables, strict=True)
        for each in own
    ]
    return iter(distinct_keys(things, undefined))


def _variables(
    table: SymbolTable, section: Section, btf: BTF | None, datasec: object
) -> list[Variable]:
    types = _types(btf, datasec) if btf is not None and isinstance(datasec, DataSec) else {}
    variables = []
    for symbol in sorted(table.by_section.get(section.index, ()), key=_value):
        if symbol.type is not _OBJECT or not symbol.name:
            continue
        known = types.get(symbol.name)
        if isinstance(known, dict):  # several of that name: by their places
            known = known.get(symbol.value)
        type_id, size = known or (0, 0)
        size = symbol.size or size
        if symbol.value + size > section.size:
            raise ObjectFormatError(
                f"variable {symbol.name!r} does not lie within {section.name!r}"
                f" ({symbol.value:#x} + {size:#x} of {section.size:#x} bytes)",
                file=table.elf.name,
            )
        variables.append(_variable(table, symbol, size, type_id, section.name.startswith("?")))
    return variables


#: The type and size of a variable, or of several with one name by their offsets.
_Typed = tuple[int, int] | dict[int, tuple[int, int]]


def _types(btf: BTF, datasec: DataSec) -> dict[str, _Typed]:
    """What a DATASEC says of its variables, by name."""
    types: dict[str, _Typed] = {}
    shared: dict[str, dict[int, tuple[int, int]]] = {}
    for entry in datasec.entries:
        variable = btf.type(entry.type_id)
        if isinstance(variable, Var):
            if variable.name in types:
                shared[variable.name] = {}
            types[variable.name] = (variable.type_id, entry.size)
    for entry in datasec.entries if shared else ():
        variable = btf.type(entry.type_id)
        if isinstance(variable, Var) and variable.name in shared:
            shared[variable.name][entry.offset] = (variable.type_id, entry.size)
    return types | shared


def _variable(
    table: SymbolTable, symbol: Symbol, size: int, type_id: int, optional: bool
) -> Variable:
    return Variable(
        name=symbol.name,
        offset=symbol.value,
        size=size,
        type_id=type_id,
        linkage=Linkage.STATIC if symbol.binding is Binding.LOCAL else Linkage.GLOBAL,
        weak=symbol.binding is Binding.WEAK,
        hidden=symbol.visibility in HIDDEN,
        autocreate=not optional,
        file=table.file_of(symbol),
    )


def read_externs(table: SymbolTable, btf: BTF | None) -> dict[str, Extern]:
    """What the file names and does not define, as its BTF declares it."""
    if btf is None or not table.undefined:
        return {}
    sections = {
        entry.type_id: EXTERN_SECTIONS[name]
        for name in EXTERN_SECTIONS
        if isinstance(datasec := btf.type(btf.find(name, Kind.DATASEC)), DataSec)
        for entry in datasec.entries
    }
    maps = btf.type(btf.find(MAPS_SECTION, Kind.DATASEC))
    of_maps = {e.type_id for e in maps.entries} if isinstance(maps, DataSec) else set()
    externs = {}
    for name, symbol in table.undefined.items():
        declared = _declaration(btf, name)
        if declared is None:
            continue
        kind = sections.get(declared.id, ExternKind.OBJECT)
        if kind is ExternKind.KSYM and isinstance(declared, Func):
            kind = ExternKind.KFUNC
        definition = None
        if isinstance(declared, Var) and declared.id in of_maps:
            definition, _ = DeclarationReader(btf, table.elf.name).read_declaration(declared)
        externs[name] = Extern(
            name=name,
            kind=kind,
            type_id=declared.type_id,
            weak=symbol.binding is Binding.WEAK,
            btf_id=declared.id,
            hidden=symbol.visibility in HIDDEN,
            map=definition,
        )
    return externs


def _declaration(btf: BTF, name: str) -> Var | Func | None:
    for type_id in btf.find_all(name, Kind.VAR, Kind.FUNC):
        declared = btf.type(type_id)
        if isinstance(declared, Var) and declared.linkage == VarLinkage.GLOBAL_EXTERN:
            return declared
        if isinstance(declared, Func) and declared.linkage == Linkage.EXTERN:
            return declared
    return None
