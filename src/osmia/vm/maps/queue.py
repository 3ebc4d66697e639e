"""Queues and stacks (since 4.20): values in a ring, under the map's lock. And bloom
filters (since 5.16): bits that say "perhaps there" or "certainly not"."""

from __future__ import annotations

from osmia.vm.layout import (
    MAP_COUNT,
    MAP_HEAD,
    MAP_LOCK,
    MAP_MAX_ENTRIES,
    MAP_NODE_COUNT,
    MAP_NODES,
    MAP_STRIDE,
    MAP_TYPE,
    MAP_TYPE_DATA,
    MAP_VALUE_SIZE,
    MAP_VALUES,
)
from osmia.vm.maps.constants import E_2BIG, E_INVAL, E_NOENT, EXIST
from osmia.vm.maps.hash import hash_bytes, mix
from osmia.vm.native import (
    copy,
    field32,
    field64,
    load32,
    lock,
    native,
    store32,
    unlock,
    zero,
)

STACK_TYPE = 23


@native
def queue_value(header: int, position: int) -> int:
    """The address of the value at a position of the ring."""
    index = position % field32(header, MAP_MAX_ENTRIES)
    return field64(header, MAP_VALUES) + index * field32(header, MAP_STRIDE)


@native
def queue_push(header: int, value: int, flags: int) -> int:
    """Add a value; with BPF_EXIST (2) a full map drops its oldest."""
    if flags & ~EXIST:
        return E_INVAL
    lock(header + MAP_LOCK)
    count = load32(header + MAP_COUNT)
    head = load32(header + MAP_HEAD)
    if count == field32(header, MAP_MAX_ENTRIES):
        if flags == 0:
            unlock(header + MAP_LOCK)
            return E_2BIG
        head = (head + 1) % field32(header, MAP_MAX_ENTRIES)
        store32(header + MAP_HEAD, head)
        count = count - 1
    copy(queue_value(header, head + count), value, field32(header, MAP_VALUE_SIZE))
    store32(header + MAP_COUNT, count + 1)
    unlock(header + MAP_LOCK)
    return 0


@native
def queue_take(header: int, result: int, remove: int) -> int:
    """Copy the next value out; of a queue the oldest, of a stack the newest."""
    lock(header + MAP_LOCK)
    count = load32(header + MAP_COUNT)
    if count == 0:
        zero(result, field32(header, MAP_VALUE_SIZE))
        unlock(header + MAP_LOCK)
        return E_NOENT
    head = load32(header + MAP_HEAD)
    position = head
    if field32(header, MAP_TYPE) == STACK_TYPE:
        position = head + count - 1
    copy(result, queue_value(header, position), field32(header, MAP_VALUE_SIZE))
    if remove:
        store32(header + MAP_COUNT, count - 1)
        if field32(header, MAP_TYPE) != STACK_TYPE:
            store32(header + MAP_HEAD, (head + 1) % field32(header, MAP_MAX_ENTRIES))
    unlock(header + MAP_LOCK)
    return 0


@native
def bloom_word(header: int, hashed: int) -> int:
    """The address of the u32 that a hash's bit is in."""
    bit = hashed & field32(header, MAP_NODE_COUNT)
    return field64(header, MAP_NODES) + (bit >> 5) * 4


@native
def bloom_add(header: int, value: int, flags: int) -> int:
    """Add a value to the set."""
    if flags != 0:
        return E_INVAL
    lock(header + MAP_LOCK)
    hashed = hash_bytes(value, field32(header, MAP_VALUE_SIZE))
    rounds = field64(header, MAP_TYPE_DATA)
    while rounds != 0:
        word = bloom_word(header, hashed)
        store32(word, load32(word) | (1 << (hashed & 31)))
        hashed = mix(hashed + rounds)
        rounds = rounds - 1
    unlock(header + MAP_LOCK)
    return 0


@native
def bloom_has(header: int, value: int) -> int:
    """0 when the value may be in the set, -ENOENT when it certainly is not."""
    hashed = hash_bytes(value, field32(header, MAP_VALUE_SIZE))
    rounds = field64(header, MAP_TYPE_DATA)
    while rounds != 0:
        if load32(bloom_word(header, hashed)) & (1 << (hashed & 31)) == 0:
            return E_NOENT
        hashed = mix(hashed + rounds)
        rounds = rounds - 1
    return 0
