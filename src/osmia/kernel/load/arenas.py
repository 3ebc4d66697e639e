"""Arenas while an object is loaded: which one has a section's variables, and their memory."""

from __future__ import annotations

from collections.abc import Iterable

from osmia.engine.maps import ArenaMap
from osmia.errors import ClosedError, RelocationError
from osmia.kernel.load.held_maps import HeldMap
from osmia.object.model import DataSection
from osmia.object.uapi import MapType


class ArenaSection:
    """Variables at the start of an arena; the arena's map owns the memory."""

    def __init__(self, memory: memoryview) -> None:
        self._memory: memoryview | None = memory

    def _view(self) -> memoryview:
        if self._memory is None:
            raise ClosedError("the object is closed")
        return self._memory

    def read(self, offset: int, size: int) -> bytes:
        """The bytes now."""
        return bytes(self._view()[offset : offset + size])

    def write(self, offset: int, data: bytes) -> None:
        """Replace bytes; programs on other CPUs may see them one by one."""
        self._view()[offset : offset + len(data)] = data

    def close(self) -> None:
        """Forget the memory."""
        self._memory = None


def arena_of(held: HeldMap) -> ArenaMap:
    """The typed map of an arena."""
    arena = held.map
    assert isinstance(arena, ArenaMap)
    return arena


def find_arena(section: DataSection, maps: Iterable[HeldMap]) -> HeldMap:
    """The arena whose start the section's variables are; RelocationError without a single one."""
    arenas = [held for held in maps if held.definition.type is MapType.ARENA]
    if len(arenas) != 1:
        raise RelocationError(
            f"section {section.name!r} needs an arena among the maps, and there are {len(arenas)}"
        )
    return arenas[0]


def arena_memory(section: DataSection, held: HeldMap) -> memoryview:
    """The arena's memory, if the section fits in."""
    memory = arena_of(held).memory()
    if len(section.contents) > len(memory):
        raise RelocationError(
            f"section {section.name!r} has {len(section.contents)} bytes, arena"
            f" {held.definition.name!r} {len(memory)}"
        )
    return memory
