"""The attributes that a `.maps` declaration may have, and how to add one.

libbpf fixes this list; here it is open: `register(MapAttribute("tenant"))` lets objects
say `__uint(tenant, 7)`, found in `Object.maps[name].attributes`. An attribute that
nobody registered is an error that names it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from osmia.records import dataclass

if TYPE_CHECKING:
    from osmia.object.model import Map

#: Pointers that the arrays `values` of one object may take together.
MAX_VALUES = 1 << 20


@dataclass(frozen=True, slots=True)
class MapAttribute:
    """An attribute's name and what it means.

    `is_type`: it is given as `__type()`, and its value is a type id, not a number. `apply`
    gives the map's definition as the attribute's value changes it, when the object is opened.
    """

    name: str
    meaning: str = ""
    is_type: bool = False
    apply: Callable[[Map, int], Map] | None = None


_ATTRIBUTES = {
    attribute.name: attribute
    for attribute in (
        MapAttribute("type", "enum bpf_map_type"),
        MapAttribute("max_entries", "entries; bytes for ring buffers"),
        MapAttribute("map_flags", "BPF_F_* of BPF_MAP_CREATE"),
        MapAttribute("numa_node", "the node to allocate on, with BPF_F_NUMA_NODE"),
        MapAttribute("map_extra", "bloom filters: hash functions; arenas: the address"),
        MapAttribute("key_size", "bytes"),
        MapAttribute("value_size", "bytes"),
        MapAttribute("key", "the key's type", is_type=True),
        MapAttribute("value", "the value's type", is_type=True),
        MapAttribute("pinning", "model.Pinning: -1 object, 1 by name, 2 global, 3… a namespace"),
        MapAttribute("id", "a number by which sections ID/KEY and inner_id name the map"),
        MapAttribute("inner_id", "maps in maps: the id of the template and of the inner maps"),
        MapAttribute("inner_idx", "the slot in every map whose inner_id is this map's id; -1 none"),
    )
}

_OWN = len(_ATTRIBUTES)


def find_attribute(name: str) -> MapAttribute | None:
    """The attribute of that name, None if nobody registered one."""
    return _ATTRIBUTES.get(name)


def register(attribute: MapAttribute) -> None:
    """Make `attribute` known to every object opened from now on.

    Raises ValueError if another attribute of that name is there.
    """
    if _ATTRIBUTES.setdefault(attribute.name, attribute) != attribute:
        raise ValueError(f"map attribute {attribute.name!r} is registered already")


def further() -> int:
    """How many attributes there are beside osmia's own."""
    return len(_ATTRIBUTES) - _OWN


def values_count(definition: Map) -> int:
    """How long a declaration's array `values` must be for the slots of the map."""
    return max((index + 1 for index, _ in definition.slots), default=0)


def apply_attributes(definition: Map) -> Map:
    """`definition` as its registered attributes change it, in the order of declaration."""
    for name, value in definition.attributes.items():
        attribute = _ATTRIBUTES.get(name)
        if attribute is not None and attribute.apply is not None:
            definition = attribute.apply(definition, value)
    return definition
