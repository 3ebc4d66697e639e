"""The attributes that a `.maps` declaration may have, and how to add one.

libbpf fixes this list; here it is open: `register(MapAttribute("tenant"))` lets objects
say `__uint(tenant, 7)`, found in `Object.maps[name].attributes`. An attribute that
nobody registered is an error that names it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MapAttribute:
    """An attribute's name and what it means. `is_type`: it is given as `__type()`, not a number."""

    name: str
    meaning: str = ""
    is_type: bool = False


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
        MapAttribute("pinning", "enum libbpf_pin_type"),
    )
}


def find_attribute(name: str) -> MapAttribute | None:
    """The attribute of that name, None if nobody registered one."""
    return _ATTRIBUTES.get(name)


def register(attribute: MapAttribute) -> None:
    """Make `attribute` known to every object opened from now on.

    Raises ValueError if another attribute of that name is there.
    """
    if _ATTRIBUTES.setdefault(attribute.name, attribute) != attribute:
        raise ValueError(f"map attribute {attribute.name!r} is registered already")
