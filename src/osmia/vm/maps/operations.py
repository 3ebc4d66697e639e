"""Map operations by type: where a call from a program or from Python is sent on.

For compiled code a map is mostly a constant, and so is its type: of the functions here only
the one branch that applies remains.
"""

from __future__ import annotations

from osmia.vm.layout import (
    MAP_HANDLE,
    MAP_HANDLE_SHIFT,
    MAP_LOCK_OFFSET,
    MAP_TYPE,
    MAX_MAPS,
)
from osmia.vm.maps.array import array_delete, array_lookup, array_update, slot_delete
from osmia.vm.maps.constants import E_INVAL, E_OPNOTSUPP, LOCK
from osmia.vm.maps.hash import hash_delete, hash_extract, hash_lookup, hash_update, lru_lookup
from osmia.vm.maps.lpm import lpm_delete, lpm_lookup, lpm_update
from osmia.vm.maps.queue import bloom_add, bloom_has, queue_push, queue_take
from osmia.vm.native import field32, load32, load64, map_table, native

HASH = 1
ARRAY = 2
PERCPU_HASH = 5
PERCPU_ARRAY = 6
LRU_HASH = 9
LRU_PERCPU_HASH = 10
LPM_TRIE = 11
CGROUP_ARRAY = 8
ARRAY_OF_MAPS = 12
HASH_OF_MAPS = 13
DEVMAP = 14
SOCKMAP = 15
CPUMAP = 16
XSKMAP = 17
SOCKHASH = 18
CGROUP_STORAGE = 19
REUSEPORT_SOCKARRAY = 20
PERCPU_CGROUP_STORAGE = 21
QUEUE = 22
STACK = 23
SK_STORAGE = 24
DEVMAP_HASH = 25
INODE_STORAGE = 28
TASK_STORAGE = 29
BLOOM_FILTER = 30
CGRP_STORAGE = 32

KIND_NONE = 0
KIND_ARRAY = 1
KIND_HASH = 2
KIND_LRU = 3
KIND_LPM = 4


@native
def map_at(handle: int) -> int:
    """The header of the map that a program's pointer names, or 0."""
    number = (handle - MAP_HANDLE) >> MAP_HANDLE_SHIFT
    if handle < MAP_HANDLE or number >= MAX_MAPS:
        return 0
    return load64(map_table() + number * 8)


@native
def map_kind(header: int) -> int:
    """Which set of operations a map has."""
    kind = field32(header, MAP_TYPE)
    if kind in (ARRAY, PERCPU_ARRAY, ARRAY_OF_MAPS):
        return KIND_ARRAY
    if kind in (DEVMAP, CPUMAP, XSKMAP, CGROUP_ARRAY, SOCKMAP, REUSEPORT_SOCKARRAY):
        return KIND_ARRAY
    if kind in (HASH, PERCPU_HASH, HASH_OF_MAPS, DEVMAP_HASH, SOCKHASH):
        return KIND_HASH
    if kind in (LRU_HASH, LRU_PERCPU_HASH):
        return KIND_LRU
    if kind == LPM_TRIE:
        return KIND_LPM
    if kind in (SK_STORAGE, INODE_STORAGE, TASK_STORAGE):
        return KIND_HASH
    if kind in (CGRP_STORAGE, CGROUP_STORAGE, PERCPU_CGROUP_STORAGE):
        return KIND_HASH
    return KIND_NONE


@native
def map_lookup(header: int, key: int, cpu: int) -> int:
    """The address of a value, or 0; an LRU entry counts as used."""
    kind = map_kind(header)
    if kind == KIND_ARRAY:
        return array_lookup(header, key, cpu)
    if kind == KIND_HASH:
        return hash_lookup(header, key, cpu)
    if kind == KIND_LRU:
        return lru_lookup(header, key, cpu)
    if kind == KIND_LPM:
        return lpm_lookup(header, key)
    return 0


@native
def map_peek(header: int, key: int, cpu: int) -> int:
    """As `map_lookup`, but an LRU entry does not count as used."""
    if map_kind(header) == KIND_LRU:
        return hash_lookup(header, key, cpu)
    return map_lookup(header, key, cpu)


@native
def map_is_outer(header: int) -> int:
    """Whether its values are maps."""
    kind = field32(header, MAP_TYPE)
    return 1 if kind in (ARRAY_OF_MAPS, HASH_OF_MAPS) else 0


@native
def map_element(header: int, key: int, cpu: int) -> int:
    """What a program's lookup gives: the value's address, or the inner map's handle."""
    value = map_lookup(header, key, cpu)
    if map_is_outer(header) and value != 0:
        number = load32(value)
        if number == 0:
            return 0
        return MAP_HANDLE + (number << MAP_HANDLE_SHIFT)
    if field32(header, MAP_TYPE) in (DEVMAP, CPUMAP, XSKMAP) and value != 0 and load32(value) == 0:
        return 0  # an empty slot
    if field32(header, MAP_TYPE) in (SOCKMAP, REUSEPORT_SOCKARRAY) and value != 0:
        return value if load64(value) != 0 else 0
    return value


@native
def map_update(header: int, key: int, value: int, flags: int, cpu: int) -> int:
    """Store a value under a key."""
    kind = map_kind(header)
    if kind == KIND_ARRAY:  # says first what else is wrong
        return array_update(header, key, value, flags, cpu)
    if flags & LOCK and field32(header, MAP_LOCK_OFFSET) == 0:
        return E_INVAL
    if kind in (KIND_HASH, KIND_LRU):
        return hash_update(header, key, value, flags, cpu)
    if kind == KIND_LPM:
        return lpm_update(header, key, value, flags)
    return E_OPNOTSUPP


@native
def map_delete(header: int, key: int) -> int:
    """Remove a key."""
    kind = map_kind(header)
    if field32(header, MAP_TYPE) == SOCKMAP:
        return slot_delete(header, key)
    if kind == KIND_ARRAY:
        return array_delete(header, key)
    if kind in (KIND_HASH, KIND_LRU):
        return hash_delete(header, key)
    if kind == KIND_LPM:
        return lpm_delete(header, key)
    return E_OPNOTSUPP


@native
def map_extract(header: int, key: int, result: int) -> int:
    """Remove a key and copy its value out, in one step."""
    kind = map_kind(header)
    if kind in (KIND_HASH, KIND_LRU):
        return hash_extract(header, key, result)
    return E_OPNOTSUPP


@native
def map_push(header: int, value: int, flags: int) -> int:
    """Push a value: queue, stack, bloom filter."""
    kind = field32(header, MAP_TYPE)
    if kind in (QUEUE, STACK):
        return queue_push(header, value, flags)
    if kind == BLOOM_FILTER:
        return bloom_add(header, value, flags)
    return E_OPNOTSUPP


@native
def map_take(header: int, result: int, remove: int) -> int:
    """Pop or peek: queue, stack; "is it in the set" of a bloom filter."""
    kind = field32(header, MAP_TYPE)
    if kind in (QUEUE, STACK):
        return queue_take(header, result, remove)
    if kind == BLOOM_FILTER and remove == 0:
        return bloom_has(header, result)
    return E_OPNOTSUPP
