"""BPF_ANNOTATE_KV_PAIR: a struct that tells a map's key and value types.

The macro (iproute2's and the kernel's old bpf_helpers.h) defines, for map NAME, a variable
of `struct ____btf_map_NAME { K key; V value; }` in section `.maps.NAME`. It was for loaders
that know BTF and not `.maps` declarations.
"""

from __future__ import annotations

from osmia.btf import BTF, Kind, Struct
from osmia.object.model import Map
from osmia.object.sections import ANNOTATION_STRUCT
from osmia.records import replace


def annotated(maps: dict[str, Map], btf: BTF) -> tuple[dict[str, Map], list[str]]:
    """`maps` with the types that annotations tell; remarks on those that do not fit."""
    found = {}
    remarks = []
    for name, definition in maps.items():
        kind = btf.type(btf.find(ANNOTATION_STRUCT + name, Kind.STRUCT))
        types = _members(kind) if isinstance(kind, Struct) else {}
        if not {"key", "value"} <= types.keys():
            found[name] = definition
            continue
        sizes = btf.size_of(types["key"]), btf.size_of(types["value"])
        if sizes == (definition.key_size, definition.value_size):
            found[name] = replace(
                definition, key_type_id=types["key"], value_type_id=types["value"]
            )
            continue
        found[name] = definition
        remarks.append(
            f"map {name!r}: its annotation tells {sizes[0]} and {sizes[1]} bytes, its"
            f" definition {definition.key_size} and {definition.value_size}; the types are not used"
        )
    return found, remarks


def _members(kind: Struct) -> dict[str, int]:
    return {member.name: member.type_id for member in kind.members}
