"""What errno means when it comes from a map element: the exceptions of map operations."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING, Any

from osmia.errors import ClosedError, KernelError, OsmiaError
from osmia.kernel.sys.syscall import Command, error_of
from osmia.object.uapi import MapType

if TYPE_CHECKING:
    from osmia.kernel.maps.base import Map


class MissingKeyError(KernelError, KeyError):
    """The map has no such key (ENOENT): a `KeyError` that is a `KernelError` too."""


class KeyExistsError(KernelError, FileExistsError):
    """An update with NOEXIST found the key in the map (EEXIST)."""


class MapFullError(KernelError):
    """A new key found no room: the map holds `max_entries` entries (E2BIG)."""


class EmptyMapError(KernelError, LookupError):
    """A pop or peek found the queue or stack empty (ENOENT)."""


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

_VERBS = {
    Command.MAP_LOOKUP_ELEM: "look up",
    Command.MAP_UPDATE_ELEM: "update",
    Command.MAP_DELETE_ELEM: "delete",
    Command.MAP_LOOKUP_AND_DELETE_ELEM: "take out",
    Command.MAP_LOOKUP_BATCH: "read",
    Command.MAP_LOOKUP_AND_DELETE_BATCH: "take out",
    Command.MAP_UPDATE_BATCH: "update",
    Command.MAP_DELETE_BATCH: "delete",
    Command.MAP_GET_NEXT_KEY: "walk",
}


def element_error(target: Map, command: Command, error: int, key: Any = None) -> OsmiaError:
    """The exception for an errno of one element operation on `target`."""
    if error == errno.EBADF and target.closed:
        return ClosedError(f"map {target.name!r} was closed meanwhile")
    entry = "" if key is None else f" key {key!r:.200} of"
    what = f"{_VERBS[command]}{entry} map {target.name!r}"
    match error:
        case errno.ENOENT:
            return MissingKeyError(error, what, hint="there is no such key")
        case errno.EEXIST:
            return KeyExistsError(error, what, hint="the key is there already")
        case errno.E2BIG if target.type in INDEXED_MAPS:
            return KernelError(error, what, hint=f"indices end at {target.max_entries - 1}")
        case errno.E2BIG:
            return MapFullError(error, what, hint=f"it is full at {target.max_entries} entries")
        case errno.EPERM:
            refused = error_of(command, error, what)
            refused.hint = _access_hint(target) or refused.hint
            return refused
        case errno.EOPNOTSUPP:
            return KernelError(error, what, hint=f"{_kind(target)} maps have no such operation")
    return KernelError(error, what, hint=_invalid_hint(target, command, error))


def _access_hint(target: Map) -> str:
    mode = fcntl.fcntl(target.fileno(), fcntl.F_GETFL) & os.O_ACCMODE
    if mode == os.O_RDONLY:
        return "it was opened read-only (BPF_F_RDONLY)"
    if mode == os.O_WRONLY:
        return "it was opened write-only (BPF_F_WRONLY)"
    return "the map is frozen" if target.info.frozen else ""


def _invalid_hint(target: Map, command: Command, error: int) -> str:
    deletes = "DELETE" in command.name
    if error == errno.EINVAL and deletes and target.type in INDEXED_MAPS:
        return f"entries of {_kind(target)} maps cannot be deleted"
    if error == errno.EINVAL and target.type == MapType.STRUCT_OPS:
        return "the value is not one that this struct_ops accepts"
    return ""


def _kind(target: Map) -> str:
    return target.type.name if isinstance(target.type, MapType) else f"type {target.type}"
