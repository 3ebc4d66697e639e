"""Maps as a `.maps` section declares them: the BTF of each, and the bytes with `values`.

The counterpart of `btf_maps.py`, which reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from osmia.btf import (
    BTF,
    BTFBuilder,
    Const,
    DataSec,
    Enum,
    Enum64,
    EnumValue,
    Kind,
    SectionVariable,
    Var,
    VarLinkage,
)
from osmia.errors import ObjectFormatError
from osmia.formats.btf_maps import MAPS_SECTION, POINTER_SIZE, DeclarationReader
from osmia.object.map_attributes import MAX_VALUES, find_attribute, values_count
from osmia.object.model import Map
from osmia.object.uapi import MAPS_IN_MAPS, MapType
from osmia.records import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class DeclaredMap:
    """Where a map's variable lies in `.maps`, in bytes; `values` are (offset, target's name)."""

    name: str
    offset: int
    size: int
    values: tuple[tuple[int, str], ...]


@dataclass(slots=True)
class Declarations:
    """The `.maps` section: its size and its variables."""

    size: int = 0
    maps: list[DeclaredMap] = field(default_factory=list)


def declare_maps(builder: BTFBuilder, btf: BTF | None, maps: Iterable[Map]) -> Declarations:
    """Add the declarations of `maps` to `builder`, which may hold `btf`'s types under their ids.

    Variables and the DATASEC that are there are replaced. Raises ValueError when the slots of
    the maps take more than MAX_VALUES pointers.
    """
    return _Declarer(builder, btf).declare(maps)


def kept_declarations(btf: BTF | None, maps: Iterable[Map]) -> Declarations | None:
    """The declarations in `btf`, if they are those of `maps`; what is extern there does not count.

    None where they have to be made.
    """
    definitions = list(maps)
    if btf is None or not definitions:
        return None if definitions else Declarations()
    return _kept(btf, definitions)


def _kept(btf: BTF, maps: Sequence[Map]) -> Declarations | None:
    section = btf.type(btf.find(MAPS_SECTION, Kind.DATASEC))
    if not isinstance(section, DataSec):
        return None
    externs = {entry.type_id for entry in _externs(btf, section)}
    entries = [entry for entry in section.entries if entry.type_id not in externs]
    if len(entries) != len(maps):
        return None
    if section.size > POINTER_SIZE * MAX_VALUES:
        return None
    reader = DeclarationReader(btf)
    found = Declarations(size=section.size)
    for entry, definition in zip(entries, maps, strict=True):
        variable = btf.type(entry.type_id)
        if not isinstance(variable, Var) or variable.linkage != VarLinkage.GLOBAL_ALLOCATED:
            return None
        try:
            declared, values_at = reader.read_declaration(variable)
        except ObjectFormatError:
            return None
        end = (values_at or 0) + POINTER_SIZE * values_count(definition)
        if declared != _declarable(definition) or (definition.slots and values_at is None):
            return None
        if end > entry.size or entry.offset + entry.size > section.size:
            return None
        values = tuple(
            (entry.offset + (values_at or 0) + POINTER_SIZE * index, target)
            for index, target in sorted(definition.slots)
        )
        found.maps.append(DeclaredMap(definition.name, entry.offset, entry.size, values))
    return found


def _externs(btf: BTF, section: DataSec) -> list[SectionVariable]:
    """The maps in a section that other objects define."""
    found = ((entry, btf.type(entry.type_id)) for entry in section.entries)
    return [
        entry
        for entry, variable in found
        if isinstance(variable, Var) and variable.linkage == VarLinkage.GLOBAL_EXTERN
    ]


def _declarable(definition: Map) -> Map:
    """What a declaration says of a map; the rest is said by symbols, or nowhere in a file."""
    return replace(
        definition,
        slots=(),
        btf_id=0,
        weak=False,
        hidden=False,
        autocreate=True,
        pin_path="",
        exclusive_to="",
    )


class _Declarer:
    def __init__(self, builder: BTFBuilder, btf: BTF | None) -> None:
        self.builder = builder
        self.btf = btf
        self._integer = btf.find("int", Kind.INT) if btf is not None else 0
        self._index = btf.find("__ARRAY_SIZE_TYPE__", Kind.INT) if btf is not None else 0
        self._prototype = 0
        self._numbers: dict[int, int] = {}

    def declare(self, maps: Iterable[Map]) -> Declarations:
        found = Declarations()
        entries = []
        for definition in maps:
            type_id, size = self._struct(definition)
            count = values_count(definition)
            if found.size // POINTER_SIZE + count > MAX_VALUES:
                raise ValueError(f"the slots of maps take more than {MAX_VALUES} pointers")
            values = tuple(
                (found.size + size + POINTER_SIZE * index, target)
                for index, target in sorted(definition.slots)
            )
            whole = size + POINTER_SIZE * count
            entries.append((self._variable(definition, type_id), found.size, whole))
            found.maps.append(DeclaredMap(definition.name, found.size, whole, values))
            found.size += whole
        if entries:
            self._section(found.size, entries)
        return found

    def _variable(self, definition: Map, type_id: int) -> int:
        known = self.btf.type(definition.btf_id) if self.btf is not None else None
        if isinstance(known, Var) and known.name == definition.name:
            made = Var(0, definition.name, type_id, VarLinkage.GLOBAL_ALLOCATED)
            self.builder.replace(known.id, made)
            return known.id
        return self.builder.add_var(definition.name, type_id)

    def _section(self, size: int, entries: Sequence[tuple[int, int, int]]) -> None:
        known = self.btf.find(MAPS_SECTION, Kind.DATASEC) if self.btf is not None else 0
        before = self.btf.type(known) if self.btf is not None else None
        if self.btf is not None and isinstance(before, DataSec):
            entries = [*_externs(self.btf, before), *entries]
        self.builder.add_datasec(MAPS_SECTION, size, entries)
        if known:
            # The kernel wants each section once; what stood there becomes `const void`.
            self.builder.replace(known, Const(0, "", 0))

    def _struct(self, definition: Map) -> tuple[int, int]:
        members = [
            (name, type_id, 8 * POINTER_SIZE * number)
            for number, (name, type_id) in enumerate(self._members(definition))
        ]
        size = POINTER_SIZE * len(members)
        values = self._values(definition)
        if values:
            members.append(("values", values, 8 * size))
        return self.builder.add_struct("", size, members), size

    def _members(self, definition: Map) -> Iterator[tuple[str, int]]:
        for name, value in map_numbers(definition).items():
            yield name, self._number(value)
        for name, type_id in map_types(definition).items():
            yield name, self.builder.add_ptr(type_id)

    def _number(self, value: int) -> int:
        """`__uint(name, value)`: a pointer to an array of that many; else `__ulong`."""
        if value in self._numbers:
            return self._numbers[value]
        if 0 <= value < 1 << 32:
            array = self.builder.add_array(self._int(), self._array_index(), value)
            made = self.builder.add_ptr(array)
        elif -(1 << 31) <= value < 0:
            # 8 bytes wide, as the pointers beside it are.
            made = self.builder.add(Enum(0, "", 8, True, (EnumValue("", value),)))
        else:
            made = self.builder.add(Enum64(0, "", 8, False, (EnumValue("", value),)))
        self._numbers[value] = made
        return made

    def _int(self) -> int:
        self._integer = self._integer or self.builder.add_int("int", 4, 1)
        return self._integer

    def _array_index(self) -> int:
        self._index = self._index or self.builder.add_int("__ARRAY_SIZE_TYPE__", 4)
        return self._index

    def _values(self, definition: Map) -> int:
        """The type of `values`: a flexible array of pointers; 0 where there are none."""
        if definition.inner is not None:
            target, _ = self._struct(inner_declaration(definition.inner))
        elif definition.slots and definition.type is MapType.PROG_ARRAY:
            target = self._function()
        else:
            return 0
        return self.builder.add_array(self.builder.add_ptr(target), self._array_index(), 0)

    def _function(self) -> int:
        """`int (void *)`."""
        if not self._prototype:
            pointer = self.builder.add_ptr(0)
            self._prototype = self.builder.add_func_proto(self._int(), [("", pointer)])
        return self._prototype


def inner_declaration(template: Map) -> Map:
    """A template as `values` can hold it: without pin, slots and attributes."""
    return Map(
        name=template.name,
        type=template.type,
        key_size=template.key_size,
        value_size=template.value_size,
        max_entries=template.max_entries,
        flags=template.flags,
        key_type_id=template.key_type_id,
        value_type_id=template.value_type_id,
        numa_node=template.numa_node,
        map_extra=template.map_extra,
    )


def map_numbers(definition: Map) -> dict[str, int]:
    """The numbers of a declaration, by attribute, in the order in which they are written."""
    numbers = {"type": int(definition.type)}
    numbers |= {"max_entries": definition.max_entries} if definition.max_entries else {}
    if definition.key_size and not definition.key_type_id:
        numbers["key_size"] = definition.key_size
    implied = definition.type in MAPS_IN_MAPS and definition.inner is not None
    if definition.value_size and not definition.value_type_id and not implied:
        numbers["value_size"] = definition.value_size
    if definition.flags:
        numbers["map_flags"] = definition.flags
    if definition.numa_node is not None:
        numbers["numa_node"] = definition.numa_node
    if definition.map_extra:
        numbers["map_extra"] = definition.map_extra
    if definition.pinning:
        numbers["pinning"] = int(definition.pinning)
    return numbers | _attributes(definition, types=False)


def map_types(definition: Map) -> dict[str, int]:
    """The types of a declaration, by attribute: ids in the object's BTF."""
    types = {"key": definition.key_type_id, "value": definition.value_type_id}
    told = {name: type_id for name, type_id in types.items() if type_id}
    return told | _attributes(definition, types=True)


def _attributes(definition: Map, *, types: bool) -> dict[str, int]:
    return {
        name: value
        for name, value in definition.attributes.items()
        if (attribute := find_attribute(name)) is not None and attribute.is_type == types
    }
