"""Hash maps, plain, per CPU and LRU (BPF_MAP_TYPE_HASH, since 3.19).

A node in control memory holds link, hash, mark and key; its value lies in the region under
the node's number. As in the kernel:

- a plain map's update of a key that exists takes a new node for the old one, so that
  whoever holds the old value's address still sees the old value; one spare node a CPU makes
  that possible when the map is full;
- lookups take no lock. A chain ends with its bucket's own number: a reader whom a recycled
  node led into another chain, or among the free ones, sees a foreign end or none and starts
  again; a node that is used again comes first in its chain, so nothing is passed over.

LRU maps (since 4.10) evict when no node is free: a hand goes round the nodes, in the order
in which they came; it passes those that a program accessed since its last visit, once.
"""

from __future__ import annotations

from osmia.vm.layout import (
    MAP_BUCKET_MASK,
    MAP_BUCKETS,
    MAP_COUNT,
    MAP_CPUS,
    MAP_FREE,
    MAP_FRESH,
    MAP_HEAD,
    MAP_KEY_SIZE,
    MAP_LOCK,
    MAP_MAX_ENTRIES,
    MAP_NODE_COUNT,
    MAP_NODE_STRIDE,
    MAP_NODES,
    MAP_SPARE,
    MAP_STRIDE,
    MAP_TYPE,
    MAP_VALUE_SIZE,
    MAP_VALUES,
)
from osmia.vm.maps.constants import (
    E_2BIG,
    E_EXIST,
    E_INVAL,
    E_NOENT,
    EXIST,
    LOCK,
    M32,
    M64,
    NOEXIST,
)
from osmia.vm.maps.values import copy_value, copy_value_locked
from osmia.vm.native import (
    acquire32,
    copy,
    field32,
    field64,
    load8,
    load16,
    load32,
    load64,
    lock,
    native,
    release32,
    store8,
    store32,
    unlock,
    zero,
)

NODE_NEXT = 0  # u32: number of the next node + 1, or END | bucket
NODE_HASH = 4  # u32
NODE_LIVE = 8  # u8: whether it is in a chain
NODE_MARK = 9  # u8: LRU: accessed since the hand came by
NODE_KEY = 16

END = 0x8000_0000
_MULTIPLIER = 0x9E37_79B9_7F4A_7C15
_LRU_HASH = 9
_LRU_PERCPU_HASH = 10
_FLAGS = NOEXIST | EXIST | LOCK


@native
def mix(value: int) -> int:
    """Spread the bits of a 64-bit value."""
    product = (value * _MULTIPLIER) & M64
    return product ^ (product >> 32)


# A map's key size is known where compiled code calls these: of what follows on it, only what
# is needed remains.


@native
def hash_bytes(key: int, size: int) -> int:
    """A 32-bit hash of `size` bytes."""
    result = size
    at = key
    if size >= 8:
        while at + 8 <= key + size:
            result = mix(result ^ load64(at))
            at = at + 8
    if size % 8 >= 4:
        result = mix(result ^ load32(at))
        at = at + 4
    if size % 4 >= 2:
        result = mix(result ^ load16(at))
        at = at + 2
    if size % 2:
        result = mix(result ^ load8(at))
    return result & M32


@native
def equal_bytes(a: int, b: int, size: int) -> int:
    """Whether two ranges of bytes are equal: 1 or 0."""
    at = 0
    if size >= 8:
        while at + 8 <= size:
            if load64(a + at) != load64(b + at):
                return 0
            at = at + 8
    if size % 8 >= 4:
        if load32(a + at) != load32(b + at):
            return 0
        at = at + 4
    if size % 4 >= 2:
        if load16(a + at) != load16(b + at):
            return 0
        at = at + 2
    if size % 2 and load8(a + at) != load8(b + at):
        return 0
    return 1


@native
def hash_node(header: int, number: int) -> int:
    """The address of a node."""
    return field64(header, MAP_NODES) + number * field32(header, MAP_NODE_STRIDE)


@native
def hash_value(header: int, number: int, cpu: int) -> int:
    """The address of a node's value, on one CPU."""
    index = number
    if field32(header, MAP_CPUS):
        index = number * field32(header, MAP_CPUS) + cpu
    return field64(header, MAP_VALUES) + index * field32(header, MAP_STRIDE)


@native
def hash_bucket(header: int, hashed: int) -> int:
    """The address of the head of a hash's chain."""
    return field64(header, MAP_BUCKETS) + (hashed & field32(header, MAP_BUCKET_MASK)) * 4


@native
def hash_find(header: int, key: int, hashed: int) -> int:
    """The number of the node with a key, plus 1; 0 when there is none. Takes no lock."""
    end = END | (hashed & field32(header, MAP_BUCKET_MASK))
    link = acquire32(hash_bucket(header, hashed))
    while link != end:
        if link >= END or link == 0:
            link = acquire32(hash_bucket(header, hashed))
            continue
        node = hash_node(header, link - 1)
        if load32(node + NODE_HASH) == hashed and equal_bytes(
            node + NODE_KEY, key, field32(header, MAP_KEY_SIZE)
        ):
            return link
        link = acquire32(node + NODE_NEXT)
    return 0


@native
def hash_lookup(header: int, key: int, cpu: int) -> int:
    """The address of the value under a key, or 0."""
    found = hash_find(header, key, hash_bytes(key, field32(header, MAP_KEY_SIZE)))
    if found == 0:
        return 0
    return hash_value(header, found - 1, cpu)


@native
def lru_lookup(header: int, key: int, cpu: int) -> int:
    """As `hash_lookup`, and the entry counts as used."""
    found = hash_find(header, key, hash_bytes(key, field32(header, MAP_KEY_SIZE)))
    if found == 0:
        return 0
    mark = hash_node(header, found - 1) + NODE_MARK
    if load8(mark) == 0:
        store8(mark, 1)
    return hash_value(header, found - 1, cpu)


@native
def hash_link_of(header: int, number: int) -> int:
    """The address of the link that leads to a live node. Under the lock."""
    link = hash_bucket(header, load32(hash_node(header, number) + NODE_HASH))
    while load32(link) != number + 1:
        link = hash_node(header, load32(link) - 1) + NODE_NEXT
    return link


@native
def hash_unlink(header: int, number: int) -> int:
    """Take a live node out of its chain. Under the lock."""
    node = hash_node(header, number)
    release32(hash_link_of(header, number), load32(node + NODE_NEXT))
    store8(node + NODE_LIVE, 0)
    return 0


@native
def hash_release(header: int, number: int) -> int:
    """Put a node that is in no chain among the free ones. Under the lock."""
    store32(hash_node(header, number) + NODE_NEXT, load32(header + MAP_FREE))
    store32(header + MAP_FREE, number + 1)
    return 0


@native
def lru_evict(header: int) -> int:
    """Free the oldest entry that was not used since the hand came by. Under the lock."""
    hand = load32(header + MAP_HEAD)
    nodes = field32(header, MAP_NODE_COUNT)
    steps = 0
    while steps < 2 * nodes + 1:
        steps = steps + 1
        number = hand
        node = hash_node(header, number)
        hand = hand + 1
        if hand >= nodes:
            hand = 0
        if load8(node + NODE_LIVE):
            if load8(node + NODE_MARK):
                store8(node + NODE_MARK, 0)
            else:
                hash_unlink(header, number)
                store32(header + MAP_COUNT, load32(header + MAP_COUNT) - 1)
                hash_release(header, number)
                break
    store32(header + MAP_HEAD, hand)
    return 0


@native
def hash_is_lru(header: int) -> int:
    """Whether it is one of the LRU types."""
    kind = field32(header, MAP_TYPE)
    return 1 if kind in (_LRU_HASH, _LRU_PERCPU_HASH) else 0


@native
def hash_take(header: int) -> int:
    """A free node's number plus 1, or 0. Under the lock."""
    fresh = load32(header + MAP_FRESH)
    if load32(header + MAP_FREE) == 0:
        if fresh < field32(header, MAP_MAX_ENTRIES):
            store32(header + MAP_FRESH, fresh + 1)
            return fresh + 1
        if hash_is_lru(header):
            lru_evict(header)
    link = load32(header + MAP_FREE)
    if link != 0:
        store32(header + MAP_FREE, load32(hash_node(header, link - 1) + NODE_NEXT))
    return link


@native
def hash_fill(header: int, number: int, value: int, cpu: int, fresh: int) -> int:
    """Store a value in a node; the other CPUs' copies of a fresh one are 0."""
    if fresh and field32(header, MAP_CPUS):
        zero(
            hash_value(header, number, 0),
            field32(header, MAP_STRIDE) * field32(header, MAP_CPUS),
        )
    if value != 0:
        copy_value(header, hash_value(header, number, cpu), value, fresh)
    return 0


@native
def hash_insert(header: int, key: int, hashed: int, value: int, cpu: int) -> int:
    """A new entry. Under the lock."""
    link = hash_take(header)
    if link == 0:
        return E_2BIG
    node = hash_node(header, link - 1)
    store32(node + NODE_HASH, hashed)
    copy(node + NODE_KEY, key, field32(header, MAP_KEY_SIZE))
    store8(node + NODE_MARK, 0)
    store8(node + NODE_LIVE, 1)
    hash_fill(header, link - 1, value, cpu, 1)
    bucket = hash_bucket(header, hashed)
    store32(node + NODE_NEXT, load32(bucket))
    release32(bucket, link)
    store32(header + MAP_COUNT, load32(header + MAP_COUNT) + 1)
    return 0


@native
def hash_replace(header: int, number: int, value: int, cpu: int) -> int:
    """Put the CPU's spare node, with a new value, before a live node in its chain, then take
    that out: those who look at the chain meanwhile find one of them. Under the lock."""
    slot = load64(header + MAP_SPARE) + cpu * 4
    spare = load32(slot) - 1
    old = hash_node(header, number)
    node = hash_node(header, spare)
    store32(node + NODE_HASH, load32(old + NODE_HASH))
    copy(node + NODE_KEY, old + NODE_KEY, field32(header, MAP_KEY_SIZE))
    store8(node + NODE_MARK, 1)
    store8(node + NODE_LIVE, 1)
    copy_value(header, hash_value(header, spare, 0), value, 1)
    bucket = hash_bucket(header, load32(old + NODE_HASH))
    store32(node + NODE_NEXT, load32(bucket))
    release32(bucket, spare + 1)
    hash_unlink(header, number)
    store32(slot, number + 1)
    return 0


@native
def hash_update(header: int, key: int, value: int, flags: int, cpu: int) -> int:
    """Store a value under a key, as the flags allow."""
    if flags > _FLAGS or flags & (NOEXIST | EXIST) == NOEXIST | EXIST:
        return E_INVAL
    hashed = hash_bytes(key, field32(header, MAP_KEY_SIZE))
    lock(header + MAP_LOCK)
    found = hash_find(header, key, hashed)
    result = 0
    if found == 0:
        if flags & EXIST:
            result = E_NOENT
        else:
            result = hash_insert(header, key, hashed, value, cpu)
    elif flags & NOEXIST:
        result = E_EXIST
    elif field32(header, MAP_CPUS):
        hash_fill(header, found - 1, value, cpu, 0)
        store8(hash_node(header, found - 1) + NODE_MARK, 1)
    elif flags & LOCK:
        copy_value_locked(header, hash_value(header, found - 1, 0), value)
    else:
        hash_replace(header, found - 1, value, cpu)
    unlock(header + MAP_LOCK)
    return result


@native
def hash_extract(header: int, key: int, result: int) -> int:
    """Remove a key, and copy out its value, or all copies of it."""
    hashed = hash_bytes(key, field32(header, MAP_KEY_SIZE))
    lock(header + MAP_LOCK)
    found = hash_find(header, key, hashed)
    failed = E_NOENT
    if found != 0:
        size = field32(header, MAP_VALUE_SIZE)
        if field32(header, MAP_CPUS):
            size = field32(header, MAP_STRIDE) * field32(header, MAP_CPUS)
        copy(result, hash_value(header, found - 1, 0), size)
        hash_unlink(header, found - 1)
        hash_release(header, found - 1)
        store32(header + MAP_COUNT, load32(header + MAP_COUNT) - 1)
        failed = 0
    unlock(header + MAP_LOCK)
    return failed


@native
def hash_delete(header: int, key: int) -> int:
    """Remove a key and its value."""
    hashed = hash_bytes(key, field32(header, MAP_KEY_SIZE))
    lock(header + MAP_LOCK)
    found = hash_find(header, key, hashed)
    result = E_NOENT
    if found != 0:
        hash_unlink(header, found - 1)
        hash_release(header, found - 1)
        store32(header + MAP_COUNT, load32(header + MAP_COUNT) - 1)
        result = 0
    unlock(header + MAP_LOCK)
    return result
