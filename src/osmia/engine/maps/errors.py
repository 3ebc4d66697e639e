"""What errno means when it comes from a map: the words of every error of a map operation."""

from __future__ import annotations

import errno
from enum import StrEnum

from osmia.errors import (
    BpfPermissionError,
    ClosedError,
    EmptyMapError,
    KernelError,
    KeyExistsError,
    MapFullError,
    MissingKeyError,
    OsmiaError,
)
from osmia.object.uapi import MapType

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from osmia.engine.raw_map import RawMap


class Operation(StrEnum):
    """What was attempted, in words."""

    LOOK_UP = "look up"
    UPDATE = "update"
    DELETE = "delete"
    TAKE = "take out"
    READ = "read"
    WALK = "walk"
    PUSH = "push to"
    POP = "pop from"
    PEEK = "peek into"
    ADD = "add to"
    HAS = "look into"


#: Indexed by 0 … max_entries - 1; every index has a value, or may have one.
INDEXED_MAPS = frozenset(
    {
        MapType.ARRAY,
        MapType.PERCPU_ARRAY,
        MapType.PROG_ARRAY,
        MapType.PERF_EVENT_ARRAY,
        MapType.CGROUP_ARRAY,
        MapType.ARRAY_OF_MAPS,
        MapType.DEVMAP,
        MapType.SOCKMAP,
        MapType.CPUMAP,
        MapType.XSKMAP,
        MapType.REUSEPORT_SOCKARRAY,
        MapType.STRUCT_OPS,
        MapType.INSN_ARRAY,
    }
)


def element_error(raw: RawMap, operation: Operation, error: int, key: Any = None) -> OsmiaError:
    """The exception for an errno of one operation on a map."""
    if error == errno.EBADF and raw.closed:
        return ClosedError(f"map {raw.name!r} was closed meanwhile")
    entry = "" if key is None else f" key {key!r:.200} of"
    what = f"{operation}{entry} map {raw.name!r}"
    match error:
        case errno.ENOENT if operation in (Operation.POP, Operation.PEEK):
            return EmptyMapError(error, what, hint="it is empty")
        case errno.ENOENT:
            return MissingKeyError(error, what, hint="there is no such key")
        case errno.EEXIST:
            return KeyExistsError(error, what, hint="the key is there already")
        case errno.E2BIG if raw.type in INDEXED_MAPS:
            return KernelError(error, what, hint=f"indices end at {raw.max_entries - 1}")
        case errno.E2BIG:
            return MapFullError(error, what, hint=f"it is full at {raw.max_entries} entries")
        case errno.EPERM | errno.EACCES:
            return BpfPermissionError(error, what, hint=raw.hint(operation, error))
        case errno.EOPNOTSUPP:
            return KernelError(error, what, hint=f"{_kind(raw)} maps have no such operation")
    return KernelError(error, what, hint=_invalid_hint(raw, operation, error))


def _invalid_hint(raw: RawMap, operation: Operation, error: int) -> str:
    removes = operation in (Operation.DELETE, Operation.TAKE)
    if error == errno.EINVAL and removes and raw.type in INDEXED_MAPS:
        return f"entries of {_kind(raw)} maps cannot be deleted"
    if error == errno.EINVAL and raw.type == MapType.STRUCT_OPS:
        return "the value is not one that this struct_ops accepts"
    return raw.hint(operation, error)


def _kind(raw: RawMap) -> str:
    return raw.type.name if isinstance(raw.type, MapType) else f"type {raw.type}"
