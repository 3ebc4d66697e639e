"""Maps of section `maps`: an array of structs, each found by its symbol."""

from __future__ import annotations

from osmia.btf import BTF, DataSec, Kind, Struct, Var
from osmia.elf import Binding, Section, Symbol, SymbolType
from osmia.errors import ObjectFormatError
from osmia.formats.elf_symbols import HIDDEN, SymbolTable
from osmia.formats.legacy_layouts import (
    AMBIGUOUS,
    CERTAIN,
    ELF_MAP_FIELDS,
    FOREIGN,
    LARGEST,
    SMALLEST,
    Layout,
    layout_from_btf,
    layout_from_size,
    unknown_fields,
)
from osmia.formats.map_ids import signed32
from osmia.object.model import Map, Pinning
from osmia.object.sections import LEGACY_MAPS
from osmia.object.uapi import MAPS_IN_MAPS, MapType
from osmia.records import dataclass, field, replace

#: What iproute2 has room for; osmia takes more and says so.
TC_MAPS = 64

#: iproute2's numbers of the first two places (include/bpf_elf.h).
_PIN_OBJECT_NS, _PIN_GLOBAL_NS = 1, 2
_LINK_SIZE = 4  # of the value of a map that holds maps or programs


@dataclass(slots=True)
class LegacyMaps:
    """What section `maps` says. `places` are the names by (section, offset)."""

    maps: dict[str, Map] = field(default_factory=dict)
    places: dict[tuple[int, int], str] = field(default_factory=dict)
    layout: str = ""
    remarks: list[str] = field(default_factory=list)


def read_maps(table: SymbolTable, btf: BTF | None, section: Section) -> LegacyMaps:
    """All maps of the section. Raises ObjectFormatError for entries that cannot be."""
    return _Reader(table, btf, section).read()


class _Reader:
    def __init__(self, table: SymbolTable, btf: BTF | None, section: Section) -> None:
        self.table = table
        self.btf = btf
        self.section = section
        self.file = table.elf.name
        self.byteorder = table.elf.byteorder
        self.found = LegacyMaps()

    def read(self) -> LegacyMaps:
        symbols = self._symbols()
        if not symbols:
            return self.found
        size = self._entry_size(symbols)
        entries = [bytes(self.section.data[s.value : s.value + size]) for s in symbols]
        variables = self._variables()
        layout = self._layout(size, entries, variables, symbols)
        self.found.layout = layout.name
        for symbol, entry in zip(symbols, entries, strict=True):
            if symbol.name in self.found.maps:
                raise self._error(f"map {symbol.name!r} is defined twice", symbol.value)
            values = layout.read(entry, self.byteorder)
            variable = variables.get(symbol.name)
            made = self._map(symbol, values, variable.id if variable is not None else 0)
            self.found.maps[symbol.name] = made
            self.found.places[(self.section.index, symbol.value)] = symbol.name
            for name, value in unknown_fields(values).items():
                self.found.remarks.append(
                    f"map {symbol.name!r}: {name} is {value}, meaning unknown"
                )
        self._add_indexed_templates(entries, layout)
        if len(symbols) > TC_MAPS:
            self.found.remarks.append(f"{len(symbols)} maps; tc takes {TC_MAPS}")
        return self.found

    def _symbols(self) -> list[Symbol]:
        """The maps' symbols by offset: global ones of no type or of an object's, and static
        ones of an object's, which tc does not count."""
        named = [s for s in self.table.by_section.get(self.section.index, []) if s.name]
        wanted = (SymbolType.NOTYPE, SymbolType.OBJECT)
        visible = [s for s in named if s.type in wanted and s.binding is not Binding.LOCAL]
        places = {s.value for s in visible}
        objects = {s.value: s for s in named if s.type is SymbolType.OBJECT}
        static = [s for place, s in objects.items() if place not in places]
        symbols = sorted([*visible, *static], key=lambda symbol: symbol.value)
        if self.section.size and not symbols:
            size = self.section.size
            raise self._error(f"section {LEGACY_MAPS!r} has {size} bytes and no symbol")
        if len(self.section.data) != self.section.size:
            raise self._error(f"section {LEGACY_MAPS!r} has no contents in the file")
        return symbols

    def _entry_size(self, symbols: list[Symbol]) -> int:
        total, count = self.section.size, len(symbols)
        size, rest = divmod(total, count)
        if rest:
            raise self._error(
                f"section {LEGACY_MAPS!r} has {total} bytes for {count} maps: an entry is truncated"
            )
        if size in FOREIGN:
            raise self._error(
                f"section {LEGACY_MAPS!r} has {size} bytes for each of {count} maps:"
                f" {FOREIGN[size]}, which is not read; declare them in '.maps'"
            )
        if not SMALLEST <= size <= LARGEST:
            raise self._error(
                f"section {LEGACY_MAPS!r} has {size} bytes for each of {count} maps; known are"
                f" {SMALLEST} to {LARGEST}"
            )
        for number, symbol in enumerate(symbols):
            if symbol.value != number * size:
                raise self._error(
                    f"no map's symbol at {number * size:#x} of section {LEGACY_MAPS!r}, where an"
                    f" entry of {size} bytes begins ({symbol.name!r} is at {symbol.value:#x})",
                    number * size,
                )
            if symbol.size and symbol.size != size:
                raise self._error(
                    f"map {symbol.name!r} has {symbol.size} bytes, others {size}", symbol.value
                )
        return size

    def _variables(self) -> dict[str, Var]:
        """What BTF calls the section's variables."""
        btf = self.btf
        datasec = btf.type(btf.find(LEGACY_MAPS, Kind.DATASEC)) if btf is not None else None
        if btf is None or not isinstance(datasec, DataSec):
            return {}
        found = [btf.type(entry.type_id) for entry in datasec.entries]
        return {variable.name: variable for variable in found if isinstance(variable, Var)}

    def _layout(
        self,
        size: int,
        entries: list[bytes],
        variables: dict[str, Var],
        symbols: list[Symbol],
    ) -> Layout:
        if self.btf is not None and symbols[0].name in variables:
            kind = self.btf.type(self.btf.resolve(variables[symbols[0].name].type_id))
            if isinstance(kind, Struct) and kind.size == size:
                layout = layout_from_btf(self.btf, kind)
                inside = {
                    name for name, (at, length) in layout.fields.items() if at + length <= size
                }
                if inside.issuperset(ELF_MAP_FIELDS[:4]):
                    return layout
        layout = layout_from_size(size, entries, self.byteorder)
        if size in AMBIGUOUS and any(any(entry[CERTAIN:]) for entry in entries):
            self.found.remarks.append(
                f"entries of {size} bytes in section {LEGACY_MAPS!r}, read as {layout.name}"
            )
        return layout

    def _map(self, symbol: Symbol, values: dict[str, int], btf_id: int) -> Map:
        kind = values["type"]
        attributes = {
            name: signed32(values[name]) if name == "inner_idx" else values[name]
            for name in ("id", "inner_id", "inner_idx")
            if values.get(name)
        }
        return Map(
            name=symbol.name,
            type=MapType(kind) if kind in set(MapType) else kind,  # type: ignore[arg-type]
            key_size=values["key_size"],
            value_size=_LINK_SIZE if kind in MAPS_IN_MAPS else values["value_size"],
            max_entries=values["max_entries"],
            flags=values.get("map_flags", 0),
            numa_node=values.get("numa_node") or None,
            pinning=_pinning(values.get("pinning", 0)),
            btf_id=btf_id,
            weak=symbol.binding is Binding.WEAK,
            hidden=symbol.visibility in HIDDEN,
            attributes=attributes,
        )

    def _add_indexed_templates(self, entries: list[bytes], layout: Layout) -> None:
        """The kernel samples' way: an outer map's template by its position in the section."""
        maps = self.found.maps
        names = list(maps)
        for name, entry in zip(names, entries, strict=True):
            if maps[name].type not in MAPS_IN_MAPS:
                continue
            if "inner_map_idx" in layout.fields:
                index = layout.read(entry, self.byteorder)["inner_map_idx"]
                if index >= len(names) or maps[names[index]].type in MAPS_IN_MAPS:
                    raise self._error(f"map {name!r}: its inner map {index} is no map to hold")
                maps[name] = replace(maps[name], inner=maps[names[index]])
            elif not maps[name].attributes.get("inner_id"):
                raise self._error(f"map {name!r} is a map in maps and has no inner_id")

    def _error(self, message: str, offset: int | None = None) -> ObjectFormatError:
        return ObjectFormatError(message, file=self.file, offset=offset)


def _pinning(number: int) -> int:
    """iproute2's number of a pin's place as `model.Pinning` has it."""
    if number == _PIN_OBJECT_NS:
        return Pinning.OBJECT
    return Pinning.GLOBAL if number == _PIN_GLOBAL_NS else number
