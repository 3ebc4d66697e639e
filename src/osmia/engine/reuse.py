"""Whether an existing map fits a definition: one check for all engines."""

from __future__ import annotations

import mmap
from collections.abc import Container
from typing import Any, Protocol

from osmia.errors import MapMismatchError, ObjectFormatError
from osmia.object.model import Map
from osmia.object.uapi import MapFlag, MapType
from osmia.records import replace

RINGS = (MapType.RINGBUF, MapType.USER_RINGBUF)
_ADAPTED = (*RINGS, MapType.PERF_EVENT_ARRAY, MapType.ARENA)


class Shape(Protocol):
    """What a definition and a map that exists both say; sizes in bytes."""

    @property
    def type(self) -> MapType | int: ...
    @property
    def key_size(self) -> int: ...
    @property
    def value_size(self) -> int: ...
    @property
    def max_entries(self) -> int: ...
    @property
    def flags(self) -> int: ...
    @property
    def map_extra(self) -> int: ...


def effective(definition: Map, cpus: int) -> Map:
    """`definition` with sizes and entries as a map can have them: an entry a CPU where a perf
    event array says none, ring buffers of a possible size."""
    if definition.type not in _ADAPTED:
        return definition
    if definition.type is MapType.PERF_EVENT_ARRAY and not definition.max_entries:
        return replace(definition, max_entries=cpus)
    if definition.type in RINGS:
        size = ring_size(definition.max_entries)
        return replace(definition, key_size=0, value_size=0, max_entries=size)
    if definition.type is MapType.ARENA and not definition.max_entries:
        raise ObjectFormatError(f"arena {definition.name!r} needs max_entries (pages)")
    return definition


def ring_size(wanted: int) -> int:
    """The next size that a ring buffer can have: a power of two of at least a page, in bytes."""
    if not wanted:
        return 0
    return max(mmap.PAGESIZE, 1 << (wanted - 1).bit_length())


def differences(
    wanted: Shape,
    found: Shape,
    ignored: Container[str] = (),
    *,
    whose: tuple[str, str] = ("the object", "the map"),
) -> tuple[str, ...]:
    """Everything in which a map is not as wanted, in words."""
    asked, flags = int(wanted.flags), int(found.flags)
    if wanted.type in (MapType.DEVMAP, MapType.DEVMAP_HASH):  # the kernel adds it on its own
        asked, flags = asked & ~int(MapFlag.RDONLY_PROG), flags & ~int(MapFlag.RDONLY_PROG)
    pairs = (
        ("type", _type_name(wanted.type), _type_name(found.type)),
        ("key size", wanted.key_size, found.key_size),
        ("value size", wanted.value_size, found.value_size),
        ("max entries", wanted.max_entries, found.max_entries),
        ("flags", f"{asked:#x}", f"{flags:#x}"),
        ("map_extra", wanted.map_extra, found.map_extra),
    )
    return tuple(
        f"{what} {one} in {whose[0]}, {other} in {whose[1]}"
        for what, one, other in pairs
        if one != other and what not in ignored
    )


def check_engine(definition: Map, given: Any, engine: str) -> None:
    """MapMismatchError when what is given for a map is no map of that engine."""
    found = getattr(getattr(given, "raw", None), "engine", None)
    if found is None:
        what = f"map {definition.name!r} cannot be {given!r:.80}"
        raise MapMismatchError(what, ("it is no map",))
    if found != engine:
        what = f"map {definition.name!r} cannot be {named(given)}"
        raise MapMismatchError(what, (f"it is a map of the {found}",))


def named(given: Any) -> str:
    """A map that was given, in words."""
    return f"the map {given.name!r} that was given"


def check_reuse(definition: Map, found: Shape, which: str) -> None:
    """MapMismatchError, naming every difference, when the map `which` is not as defined."""
    if unlike := differences(definition, found):
        raise MapMismatchError(f"map {definition.name!r} cannot be {which}", unlike)


def _type_name(number: int) -> str:
    return getattr(number, "name", str(number)).lower()
