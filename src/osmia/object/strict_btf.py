"""Strict BTF: every map with key and value types, every function with type information."""

from __future__ import annotations

from osmia.errors import ObjectFormatError
from osmia.object.model import Map, Object
from osmia.object.uapi import MapType

#: Map types without keys or values, or whose values are descriptors: no type to be told.
_UNTYPED = frozenset(
    {
        MapType.PROG_ARRAY,
        MapType.PERF_EVENT_ARRAY,
        MapType.STACK_TRACE,
        MapType.CGROUP_ARRAY,
        MapType.ARRAY_OF_MAPS,
        MapType.HASH_OF_MAPS,
        MapType.RINGBUF,
        MapType.USER_RINGBUF,
        MapType.ARENA,
        MapType.STRUCT_OPS,
    }
)


def missing_types(obj: Object) -> list[str]:
    """What an object does not tell the types of, each in words; empty when it tells all."""
    if obj.btf is None:
        return ["the object has no BTF"]
    maps = [
        f"map {each.name!r} has no {_missing(each)}"
        for each in obj.maps.values()
        if each.type not in _UNTYPED and _missing(each)
    ]
    functions = [
        f"{'program' if name in obj.programs else 'function'} {name!r} has no function information"
        for name, function in obj.functions.items()
        if not function.btf_id
    ]
    return maps + functions


def check_types(obj: Object) -> None:
    """ObjectFormatError that lists everything in `missing_types`, if there is anything."""
    missing = missing_types(obj)
    if missing:
        raise ObjectFormatError(
            f"types are not told (strict BTF): {'; '.join(missing)}", file=obj.path or obj.name
        )


def _missing(definition: Map) -> str:
    parts = []
    if definition.key_size and not definition.key_type_id:
        parts.append("key type")
    if definition.value_size and not definition.value_type_id:
        parts.append("value type")
    return " and no ".join(parts)
