"""Pages of arenas: memory that programs and the test share (`osmia.vm.maps.body.MapBody`).

An arena is one piece of the region: what the kernel casts between two address spaces has one
address here. A byte of control memory a page says whether it is allocated.
"""

from __future__ import annotations

from osmia.object.uapi import MapType
from osmia.vm.errors import ProgramFault
from osmia.vm.helpers.table import Argument, Invocation, helper
from osmia.vm.maps.body import MapBody
from osmia.vm.maps.build import PAGE
from osmia.vm.maps.constants import E_BUSY, E_INVAL, M32

FREE, ALLOCATED, RESERVED = range(3)
"""What the byte of a page says."""


def _arena(call: Invocation, handle: int) -> MapBody:
    found = call.vm.map_of(handle)
    if found is None or found.type is not MapType.ARENA:
        raise ProgramFault(f"{handle:#x} is no arena")
    return found


def _first(arena: MapBody, address: int, count: int) -> int | None:
    """The number of the page at an address; None where not so many pages are."""
    number = (address & M32) - arena.values_address
    inside = number >= 0 and number // PAGE + count <= arena.max_entries
    return number // PAGE if inside and number % PAGE == 0 else None


def _state(call: Invocation, arena: MapBody, first: int, count: int) -> bytes:
    return call.vm.memory.read(arena.nodes_address + first, count)


@helper("arena_alloc_pages", *[Argument.MAP, *[Argument.ANY] * 4])
def arena_alloc_pages(
    call: Invocation, handle: int, address: int, count: int, node: int, flags: int
) -> int:
    """bpf_arena_alloc_pages, since 6.9: zeroed pages, at an address or anywhere; 0 for none."""
    arena, count = _arena(call, handle), count & M32
    if flags or not count or count > arena.max_entries:
        return 0
    wanted = bytes(count)
    if address:
        first = _first(arena, address, count)
        if first is None or _state(call, arena, first, count) != wanted:
            return 0
    else:
        first = _state(call, arena, 0, arena.max_entries).find(wanted)
        if first < 0:
            return 0
    start: int = arena.values_address + first * PAGE
    call.vm.memory.write(arena.nodes_address + first, bytes([ALLOCATED]) * count)
    call.vm.memory.zero(start, count * PAGE)
    return start


@helper("arena_free_pages", Argument.MAP, Argument.ANY, Argument.ANY)
def arena_free_pages(call: Invocation, handle: int, address: int, count: int) -> int:
    """bpf_arena_free_pages, since 6.9."""
    arena, count = _arena(call, handle), count & M32
    first = _first(arena, address & ~(PAGE - 1), 1)
    if first is not None and count:
        count = min(count, arena.max_entries - first)
        call.vm.memory.zero(arena.nodes_address + first, count)
        call.vm.memory.zero(arena.values_address + first * PAGE, count * PAGE)
    return 0


@helper("arena_reserve_pages", Argument.MAP, Argument.ANY, Argument.ANY)
def arena_reserve_pages(call: Invocation, handle: int, address: int, count: int) -> int:
    """bpf_arena_reserve_pages, since 6.17: pages that nobody is given."""
    arena, count = _arena(call, handle), count & M32
    if not count:
        return 0
    first = _first(arena, address, count)
    if first is None:
        return E_INVAL
    if _state(call, arena, first, count) != bytes(count):
        return E_BUSY
    call.vm.memory.write(arena.nodes_address + first, bytes([RESERVED]) * count)
    return 0
