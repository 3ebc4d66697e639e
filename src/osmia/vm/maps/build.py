"""Make a map of a definition that the rules allow: its header, nodes and values."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from contextlib import ExitStack

from osmia.object.uapi import MapFlag, MapType
from osmia.records import dataclass
from osmia.vm import layout
from osmia.vm.maps import hash as hash_map
from osmia.vm.maps import lpm, ring, slots
from osmia.vm.memory import Memory

PAGE = 4096
"""Bytes of an arena's page."""
_PER_CPU = frozenset(
    {
        MapType.PERCPU_ARRAY,
        MapType.PERCPU_HASH,
        MapType.LRU_PERCPU_HASH,
        MapType.PERCPU_CGROUP_STORAGE,
    }
)
STORAGE = frozenset(
    {
        MapType.SK_STORAGE,
        MapType.INODE_STORAGE,
        MapType.TASK_STORAGE,
        MapType.CGRP_STORAGE,
        MapType.CGROUP_STORAGE,
        MapType.PERCPU_CGROUP_STORAGE,
    }
)
OF_GROUPS = frozenset({MapType.CGROUP_STORAGE, MapType.PERCPU_CGROUP_STORAGE})


@dataclass(frozen=True, slots=True)
class Definition:
    """A map as asked for; sizes in bytes."""

    type: MapType
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    map_extra: int = 0
    lock_offset: int | None = None
    special: tuple[tuple[int, int], ...] = ()
    """Offset and size of what of a value is not copied, see `osmia.vm.maps.special_fields`."""

    @property
    def per_cpu(self) -> bool:
        """Whether there is a copy of each value on each CPU."""
        return self.type in _PER_CPU

    @property
    def stride(self) -> int:
        """Bytes from one value to the next."""
        return -(-self.value_size // 8) * 8


@dataclass(slots=True)
class Built:
    """A made map: where its header is, and the blocks that go with it."""

    header: int
    values: int = 0
    values_size: int = 0
    nodes: int = 0
    region_blocks: tuple[int, ...] = ()
    control_blocks: tuple[int, ...] = ()


class _Builder:
    def __init__(self, memory: Memory, cpus: int, number: int, definition: Definition) -> None:
        self.memory = memory
        self.cpus = cpus
        self.definition = definition
        self.region_blocks: list[int] = []
        self.control_blocks: list[int] = []
        self.built = Built(self.control(layout.MAP_HEADER_SIZE))
        for field, value in (
            (layout.MAP_TYPE, definition.type),
            (layout.MAP_KEY_SIZE, definition.key_size),
            (layout.MAP_VALUE_SIZE, definition.value_size),
            (layout.MAP_MAX_ENTRIES, definition.max_entries),
            (layout.MAP_FLAGS, definition.flags),
            (layout.MAP_STRIDE, definition.stride),
            (layout.MAP_NUMBER, number),
            (layout.MAP_CPUS, cpus if definition.per_cpu else 0),
        ):
            self.set32(field, value)
        if definition.lock_offset is not None:
            self.set32(layout.MAP_LOCK_OFFSET, definition.lock_offset + 1)
        if definition.special:
            table = array("I", [n for field in definition.special for n in field] + [0, 0])
            place = self.control(len(table) * 4)
            memory.write(place, table.tobytes())
            self.set64(layout.MAP_SPECIAL, place)

    def set32(self, field: int, value: int) -> None:
        """Set a u32 of the header."""
        self.memory.store32(self.built.header + field, value)

    def set64(self, field: int, value: int) -> None:
        """Set a u64 of the header."""
        self.memory.store64(self.built.header + field, value)

    def control(self, size: int, alignment: int = 64) -> int:
        """A block of control memory that belongs to the map."""
        self.control_blocks.append(self.memory.control.allocate(size, alignment))
        return self.control_blocks[-1]

    def region(self, size: int, alignment: int = 64) -> int:
        """A block of the region that belongs to the map."""
        self.region_blocks.append(self.memory.region.allocate(size, alignment))
        return self.region_blocks[-1]

    def values(self, count: int) -> None:
        """Room for values."""
        copies = self.cpus if self.definition.per_cpu else 1
        size = count * self.definition.stride * copies
        alignment = 4096 if self.definition.flags & MapFlag.MMAPABLE else 64
        self.built.values = self.region(size, alignment)
        self.built.values_size = size
        self.set64(layout.MAP_VALUES, self.built.values)

    def nodes(self, count: int, stride: int) -> None:
        """Room for nodes, all zero."""
        self.built.nodes = self.control(count * stride)
        self.set64(layout.MAP_NODES, self.built.nodes)
        self.set32(layout.MAP_NODE_STRIDE, stride)
        self.set32(layout.MAP_NODE_COUNT, count)

    def array(self) -> None:
        self.values(self.definition.max_entries)

    def hash(self) -> None:
        entries = self.definition.max_entries
        buckets = 1 << (entries - 1).bit_length()
        stride = -(-(hash_map.NODE_KEY + self.definition.key_size) // 8) * 8
        count = entries + self.cpus
        heads = self.control(buckets * 4)
        self.set64(layout.MAP_BUCKETS, heads)
        self.set32(layout.MAP_BUCKET_MASK, buckets - 1)
        ends = array("I", range(hash_map.END, hash_map.END + buckets))
        self.memory.write(heads, ends.tobytes())
        self.nodes(count, stride)
        spare = self.control(4 * self.cpus)
        self.set64(layout.MAP_SPARE, spare)
        for cpu in range(self.cpus):
            self.memory.store32(spare + 4 * cpu, entries + cpu + 1)
        self.values(count)

    def lpm(self) -> None:
        count = 2 * self.definition.max_entries
        stride = -(-(lpm.NODE_PREFIX + self.definition.key_size) // 8) * 8
        self.nodes(count, stride)
        self.values(count)

    def queue(self) -> None:
        self.values(self.definition.max_entries)

    def bloom(self) -> None:
        rounds = self.definition.map_extra or 5
        wanted = self.definition.max_entries * rounds * 7 // 5 + 64
        bits = 1 << (wanted - 1).bit_length()
        self.nodes(bits // 32, 4)
        self.set32(layout.MAP_NODE_COUNT, bits - 1)
        self.set64(layout.MAP_TYPE_DATA, rounds)

    def prog_array(self) -> None:
        self.nodes(self.definition.max_entries, slots.SLOT_SIZE)

    def ring(self) -> None:
        size = self.definition.max_entries
        self.built.values = self.region(2 * size, 4096)
        self.built.values_size = 2 * size
        self.set64(layout.MAP_VALUES, self.built.values)
        self.built.nodes = self.control(ring.POSITIONS_SIZE, 4096)
        self.set64(layout.MAP_NODES, self.built.nodes)

    def arena(self) -> None:
        pages = self.definition.max_entries
        self.built.values = self.region(pages * PAGE, PAGE)
        self.built.values_size = pages * PAGE
        self.set64(layout.MAP_VALUES, self.built.values)
        self.nodes(pages, 1)

    def nothing(self) -> None:
        """A map that is all in Python."""


_BUILD: dict[MapType, Callable[[_Builder], None]] = {
    MapType.ARRAY: _Builder.array,
    MapType.PERCPU_ARRAY: _Builder.array,
    MapType.ARRAY_OF_MAPS: _Builder.array,
    MapType.DEVMAP: _Builder.array,
    MapType.CPUMAP: _Builder.array,
    MapType.XSKMAP: _Builder.array,
    MapType.CGROUP_ARRAY: _Builder.array,
    MapType.SOCKMAP: _Builder.array,
    MapType.REUSEPORT_SOCKARRAY: _Builder.array,
    MapType.HASH: _Builder.hash,
    MapType.PERCPU_HASH: _Builder.hash,
    MapType.LRU_HASH: _Builder.hash,
    MapType.LRU_PERCPU_HASH: _Builder.hash,
    MapType.HASH_OF_MAPS: _Builder.hash,
    MapType.DEVMAP_HASH: _Builder.hash,
    MapType.SOCKHASH: _Builder.hash,
    **dict.fromkeys(STORAGE, _Builder.hash),
    MapType.LPM_TRIE: _Builder.lpm,
    MapType.QUEUE: _Builder.queue,
    MapType.STACK: _Builder.queue,
    MapType.BLOOM_FILTER: _Builder.bloom,
    MapType.PROG_ARRAY: _Builder.prog_array,
    MapType.RINGBUF: _Builder.ring,
    MapType.USER_RINGBUF: _Builder.ring,
    MapType.ARENA: _Builder.arena,
    MapType.PERF_EVENT_ARRAY: _Builder.nothing,
    MapType.STACK_TRACE: _Builder.nothing,
}


def is_known(map_type: MapType) -> bool:
    """Whether the vm has maps of a type."""
    return map_type in _BUILD


def build(memory: Memory, cpus: int, number: int, definition: Definition) -> Built:
    """Make a map of a normalised definition."""
    with ExitStack() as undo:
        builder = _Builder(memory, cpus, number, definition)
        undo.callback(_release, memory, builder.region_blocks, builder.control_blocks)
        _BUILD[definition.type](builder)
        undo.pop_all()
    builder.built.region_blocks = tuple(builder.region_blocks)
    builder.built.control_blocks = tuple(builder.control_blocks)
    return builder.built


def _release(memory: Memory, region: list[int], control: list[int]) -> None:
    for block in region:
        memory.region.free(block)
    for block in control:
        memory.control.free(block)


def release(memory: Memory, built: Built) -> None:
    """Give a map's memory back."""
    _release(memory, list(built.region_blocks), list(built.control_blocks))
