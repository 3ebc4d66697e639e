"""Maps declared in a `.maps` section: a BTF struct whose fields are the attributes.

The encoding is libbpf's: `__uint(name, n)` is a pointer to an array of n elements,
`__type(name, T)` a pointer to T, `__ulong(name, n)` an enumerator, and
`__array(values, T)` an array of pointers that initialise the map.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection

from osmia.btf import (
    BTF,
    MODIFIERS,
    Array,
    DataSec,
    Enum,
    Enum64,
    FuncProto,
    Kind,
    Ptr,
    Struct,
    Var,
    VarLinkage,
)
from osmia.btf.layout import KIND_FLAG, KIND_MASK, KIND_SHIFT
from osmia.btf.sizes import size_of
from osmia.elf import Binding, Section, Symbol, SymbolType
from osmia.errors import ObjectFormatError
from osmia.formats.elf_symbols import HIDDEN, SymbolTable
from osmia.formats.map_ids import signed32
from osmia.object.map_attributes import apply_attributes, find_attribute
from osmia.object.model import Map
from osmia.object.uapi import MAPS_IN_MAPS, MapType
from osmia.records import dataclass, field, replace

MAPS_SECTION = ".maps"
POINTER_SIZE = 8
#: Bytes of the keys that an index of `values` can be.
INDEX_SIZE = 4
#: Which word of an ARRAY's record is the number of its elements.
_ARRAY_COUNT = 5
#: The bits of a member's offset that are one where the struct has bitfields.
_OFFSET = 0xFF_FFFF
_TYPES = {int(kind): kind for kind in MapType}
# Named here: asking an enumeration for a member takes as long as ten of what is done with it.
_STRUCT, _PTR, _ARRAY, _EXTERN = Kind.STRUCT, Kind.PTR, Kind.ARRAY, VarLinkage.GLOBAL_EXTERN
_PROG_ARRAY, _SECTION, _WEAK = MapType.PROG_ARRAY, SymbolType.SECTION, Binding.WEAK
#: Attributes that the kernel takes as 32-bit numbers.
_WORDS = frozenset({"type", "key_size", "value_size", "max_entries", "map_flags"})


@dataclass(slots=True)
class _Draft:
    """A map while its fields are read; `where` names it in messages."""

    name: str
    where: str
    inner_allowed: bool = True
    numbers: dict[str, int] = field(default_factory=dict)
    types: dict[str, tuple[int, int]] = field(default_factory=dict)  # name: (type id, size)
    inner: Map | None = None
    values_offset: int | None = None


class DeclarationReader:
    """Reads what single variables of `.maps` declare; `file` stands in errors."""

    def __init__(self, btf: BTF, file: str = "") -> None:
        self.btf = btf
        self.file = file
        self.numbers: dict[int, int] = {}  # what __uint() says, by type: maps share them

    def read_declaration(self, variable: Var) -> tuple[Map, int | None]:
        """The map, without slots, and where `values` begin in the variable, if it has some."""
        draft = self._draft(variable)
        return self._make(draft), draft.values_offset

    # What declarations say is read from the types' words: a map has half a dozen attributes of
    # three types each, and nobody asks for these again.

    def _draft(self, variable: Var) -> _Draft:
        definition = self.btf.resolve(variable.type_id)
        if self.btf.kind_of(definition) is not _STRUCT:
            raise self._error(f"map {variable.name!r} is no struct")
        return self._read_struct(definition, _Draft(variable.name, f"map {variable.name!r}"))

    def _read_struct(self, definition: int, draft: _Draft) -> _Draft:
        string = self.btf.string
        _, info, _, *members = self.btf.words(definition)
        last = len(members) - 3
        for at in range(0, len(members), 3):
            name, type_id = string(members[at]), members[at + 1]
            if name == "values":
                if at != last:
                    raise self._error(f"{draft.where}: `values` must be the last attribute")
                bits = members[at + 2]
                self._read_values(type_id, bits & _OFFSET if info & KIND_FLAG else bits, draft)
            else:
                self._read_attribute(name, type_id, draft)
        return draft

    def _read_attribute(self, name: str, type_id: int, draft: _Draft) -> None:
        attribute = find_attribute(name)
        if attribute is None:
            raise self._error(f"{draft.where}: attribute {name!r} is not known")
        if attribute.is_type:
            _, info, target = self.btf.head(type_id)
            if info >> KIND_SHIFT & KIND_MASK != _PTR:
                raise self._error(f"{draft.where}: attribute {name!r} is no __type()")
            draft.types[name] = (target, size_of(self.btf, target))
            return
        number = self.numbers.get(type_id)
        if number is None:
            number = self._number(type_id)
        if number is None:
            raise self._error(f"{draft.where}: attribute {name!r} is no __uint() or __ulong()")
        if number >> 32 and name in _WORDS:
            raise self._error(f"{draft.where}: {name} cannot be {number:,}")
        self.numbers[type_id] = draft.numbers[name] = number

    def _number(self, type_id: int) -> int | None:
        """What __uint() or __ulong() says; None for another type."""
        btf = self.btf
        _, info, target = btf.head(type_id)
        kind = info >> KIND_SHIFT & KIND_MASK
        if kind in MODIFIERS:
            type_id = btf.resolve(type_id)
            _, info, target = btf.head(type_id)
            kind = info >> KIND_SHIFT & KIND_MASK
        if kind == _PTR:
            array = btf.words(target) if target else ()
            is_array = array and array[1] >> KIND_SHIFT & KIND_MASK == _ARRAY
            return array[_ARRAY_COUNT] if is_array else None
        declared = btf.type(type_id)
        if isinstance(declared, Enum | Enum64) and len(declared.values) == 1:
            return declared.values[0].value
        return None

    def _read_values(self, type_id: int, bit_offset: int, draft: _Draft) -> None:
        where = f"{draft.where}: `values`"
        array = self.btf.type(type_id)
        pointer = self.btf.type(array.element) if isinstance(array, Array) else None
        if not isinstance(pointer, Ptr):
            raise self._error(f"{where} is no array of pointers")
        draft.values_offset = bit_offset // 8
        target = self.btf.type(self.btf.resolve(pointer.target))
        if isinstance(target, FuncProto):
            return
        if not isinstance(target, Struct):
            raise self._error(f"{where} points neither to a map's definition nor to a function")
        if not draft.inner_allowed:
            raise self._error(f"{draft.where}: maps in maps nest only once")
        where = f"the inner map of {draft.where}"
        inner = _Draft(f"{draft.name}.inner", where, inner_allowed=False)
        self._read_struct(target.id, inner)
        draft.inner = self._make(inner)

    def _make(
        self, draft: _Draft, *, btf_id: int = 0, weak: bool = False, hidden: bool = False
    ) -> Map:
        numbers = dict(draft.numbers)
        key_size, key_type = self._size(draft, numbers, "key")
        value_size, value_type = self._size(draft, numbers, "value")
        if "type" not in numbers:
            raise self._error(f"{draft.where} does not say its type")
        kind = numbers.pop("type")
        if kind in MAPS_IN_MAPS and not value_size:
            value_size = 4
        if kind == _PROG_ARRAY and draft.values_offset is not None and not value_size:
            value_size = 4
        made = Map(
            name=draft.name,
            type=_TYPES.get(kind, kind),  # type: ignore[arg-type]
            key_size=key_size,
            value_size=value_size,
            max_entries=numbers.pop("max_entries", 0),
            flags=numbers.pop("map_flags", 0),
            key_type_id=key_type,
            value_type_id=value_type,
            numa_node=numbers.pop("numa_node", None),
            map_extra=numbers.pop("map_extra", 0),
            pinning=signed32(numbers.pop("pinning", 0)),
            inner=draft.inner,
            attributes=self._rest(draft, numbers),
            btf_id=btf_id,
            weak=weak,
            hidden=hidden,
        )
        return apply_attributes(made) if made.attributes else made

    @staticmethod
    def _rest(draft: _Draft, numbers: dict[str, int]) -> dict[str, int]:
        """The attributes that are no fields of `Map`: numbers, and ids of types."""
        if "inner_idx" in numbers:
            numbers["inner_idx"] = signed32(numbers["inner_idx"])
        for name, (type_id, _) in draft.types.items():
            if name not in ("key", "value"):
                numbers[name] = type_id
        return numbers

    def _size(self, draft: _Draft, numbers: dict[str, int], which: str) -> tuple[int, int]:
        given = numbers.pop(f"{which}_size", 0)
        type_id, size = draft.types.get(which, (0, 0))
        if given and type_id and given != size:
            raise self._error(
                f"{draft.where}: {which}_size {given} contradicts the {which} type of {size} bytes"
            )
        return size or given, type_id

    def _error(self, message: str, offset: int | None = None) -> ObjectFormatError:
        return ObjectFormatError(message, file=self.file, offset=offset)


class MapReader(DeclarationReader):
    """Reads all maps of one `.maps` section."""

    def __init__(self, table: SymbolTable, btf: BTF, section: Section) -> None:
        super().__init__(btf, table.elf.name)
        self.table = table
        self.section = section

    def read(self) -> tuple[dict[str, Map], dict[tuple[int, int], str]]:
        """The maps by name, and their names by (section, offset)."""
        datasec_id = self.btf.find(MAPS_SECTION, Kind.DATASEC)
        if not datasec_id:
            raise self._error(f"section {MAPS_SECTION!r} has no BTF; compile with -g")
        datasec = self.btf.type(datasec_id)
        assert isinstance(datasec, DataSec)
        symbols = {
            symbol.name: symbol
            for symbol in self.table.by_section.get(self.section.index, [])
            if symbol.type is not _SECTION
        }
        maps: dict[str, Map] = {}
        places: dict[tuple[int, int], str] = {}
        for entry in datasec.entries:
            variable = self.btf.type(entry.type_id)
            if not isinstance(variable, Var) or not variable.name:
                raise self._error(f"{MAPS_SECTION!r} has an entry that is no variable")
            if variable.linkage == _EXTERN:
                continue  # another object's: `read_externs`
            symbol = symbols.get(variable.name)
            if symbol is None:
                raise self._error(f"map {variable.name!r} has no symbol in {MAPS_SECTION!r}")
            if variable.name in maps:
                raise self._error(f"map {variable.name!r} is defined twice")
            maps[variable.name] = self._map(self._draft(variable), variable.id, symbol)
            places[(self.section.index, symbol.value)] = variable.name
        return maps, places

    def fill_slots(
        self,
        maps: dict[str, Map],
        places: dict[tuple[int, int], str],
        program_at: Callable[[int, int], str | None],
        externs: Collection[str],
    ) -> None:
        """Set `slots` of the maps whose `values` are initialised, from the relocations.

        What another object defines is named as in `externs`.
        """
        own = self.section.index
        starts = sorted((at, name) for (section, at), name in places.items() if section == own)
        offsets = [offset for offset, _ in starts]
        symbols = self.table.elf.symbols
        slots: dict[str, list[tuple[int, str]]] = {}
        for entry in self.table.elf.relocations(self.section):
            number = bisect_right(offsets, entry.offset) - 1
            if number < 0 or entry.symbol >= len(symbols):
                raise self._error("a relocation outside every map", entry.offset)
            (start, owner), symbol = starts[number], symbols[entry.symbol]
            index = self._slot_index(maps[owner], start, entry.offset)
            if maps[owner].type is MapType.HASH_OF_MAPS and maps[owner].key_size != INDEX_SIZE:
                raise self._error(
                    f"map {owner!r} has keys of {maps[owner].key_size} bytes; its `values` are"
                    f" for keys of {INDEX_SIZE}",
                    entry.offset,
                )
            target: str | None
            if not symbol.section and symbol.name in externs:
                target = symbol.name
            elif maps[owner].type is MapType.PROG_ARRAY:
                target = program_at(symbol.section, symbol.value)
            else:
                target = places.get((symbol.section, symbol.value))
            if target is None:
                kind = "program" if maps[owner].type is MapType.PROG_ARRAY else "map"
                raise self._error(
                    f"map {owner!r}: value {index} is {symbol.name!r}, which is no {kind}",
                    entry.offset,
                )
            slots.setdefault(owner, []).append((index, target))
        for name, entries in slots.items():
            maps[name] = replace(maps[name], slots=tuple(entries))

    def _slot_index(self, owner: Map, start: int, offset: int) -> int:
        """Which of the `values` of the map at `start` the relocation at `offset` is for."""
        variable = self.btf.type(owner.btf_id)
        assert isinstance(variable, Var)
        definition = self.btf.type(self.btf.resolve(variable.type_id))
        assert isinstance(definition, Struct)
        values = next((m for m in definition.members if m.name == "values"), None)
        if values is None or owner.type not in (*MAPS_IN_MAPS, MapType.PROG_ARRAY):
            raise self._error(f"map {owner.name!r} has no `values` to initialise", offset)
        inside = offset - start - values.bit_offset // 8
        if inside < 0 or inside % POINTER_SIZE:
            raise self._error(f"map {owner.name!r}: a relocation outside its `values`", offset)
        return inside // POINTER_SIZE

    def _map(self, draft: _Draft, btf_id: int, symbol: Symbol) -> Map:
        return self._make(
            draft,
            btf_id=btf_id,
            weak=symbol.binding is _WEAK,
            hidden=symbol.visibility in HIDDEN,
        )
