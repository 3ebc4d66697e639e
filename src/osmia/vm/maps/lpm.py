"""LPM tries (BPF_MAP_TYPE_LPM_TRIE, since 4.11).

A key is a u32 prefix length in bits and data in network order. Nodes form a binary trie
whose paths are compressed; a node without a value only joins two others. A node in control
memory holds its two children, its prefix length, and the data; its value lies in the
region under the node's number. All operations take the map's lock.
"""

from __future__ import annotations

from osmia.vm.layout import (
    MAP_COUNT,
    MAP_FREE,
    MAP_FRESH,
    MAP_KEY_SIZE,
    MAP_LOCK,
    MAP_MAX_ENTRIES,
    MAP_NODE_COUNT,
    MAP_NODE_STRIDE,
    MAP_NODES,
    MAP_ROOT,
    MAP_STRIDE,
    MAP_VALUE_SIZE,
    MAP_VALUES,
)
from osmia.vm.maps.constants import E_EXIST, E_INVAL, E_NOENT, E_NOSPC, EXIST, NOEXIST
from osmia.vm.native import (
    copy,
    field32,
    field64,
    load8,
    load32,
    lock,
    native,
    store8,
    store32,
    unlock,
    zero,
)

NODE_CHILDREN = 0  # two u32: number + 1
NODE_LIVE = 8  # u8: whether it has a value
NODE_PREFIX = 12  # u32; the data follows it, so that a key starts here
NODE_DATA = 16


@native
def lpm_node(header: int, link: int) -> int:
    """The address of the node that a link (number + 1) names."""
    return field64(header, MAP_NODES) + (link - 1) * field32(header, MAP_NODE_STRIDE)


@native
def lpm_value(header: int, link: int) -> int:
    """The address of a node's value."""
    return field64(header, MAP_VALUES) + (link - 1) * field32(header, MAP_STRIDE)


@native
def lpm_bit(data: int, position: int) -> int:
    """The bit of the data at a position, the most significant of the first byte being 0."""
    return (load8(data + (position >> 3)) >> (7 - (position & 7))) & 1


@native
def lpm_common(a: int, b: int, limit: int) -> int:
    """How many leading bits two data have in common, at most `limit`."""
    position = 0
    while position + 8 <= limit and load8(a + (position >> 3)) == load8(b + (position >> 3)):
        position = position + 8
    while position < limit:
        if lpm_bit(a, position) != lpm_bit(b, position):
            return position
        position = position + 1
    return position


@native
def lpm_smaller(a: int, b: int) -> int:
    """The smaller of two numbers."""
    return a if a < b else b


@native
def lpm_bits(header: int) -> int:
    """The longest prefix."""
    return (field32(header, MAP_KEY_SIZE) - 4) * 8


@native
def lpm_find(header: int, key: int) -> int:
    """The link of the longest prefix that covers a key's, or 0. Under the lock."""
    length = load32(key)
    best = 0
    link = load32(header + MAP_ROOT)
    while link != 0:
        node = lpm_node(header, link)
        prefix = load32(node + NODE_PREFIX)
        if prefix > length or lpm_common(node + NODE_DATA, key + 4, prefix) < prefix:
            break
        if load8(node + NODE_LIVE):
            best = link
        if prefix >= length:
            break
        link = load32(node + NODE_CHILDREN + 4 * lpm_bit(key + 4, prefix))
    return best


@native
def lpm_lookup(header: int, key: int) -> int:
    """The address of the value of the longest matching prefix, or 0."""
    if load32(key) > lpm_bits(header):
        return 0
    lock(header + MAP_LOCK)
    link = lpm_find(header, key)
    unlock(header + MAP_LOCK)
    if link == 0:
        return 0
    return lpm_value(header, link)


@native
def lpm_take(header: int) -> int:
    """A free node's link, its children and value cleared; 0 when there is none."""
    link = load32(header + MAP_FREE)
    if link != 0:
        node = lpm_node(header, link)
        store32(header + MAP_FREE, load32(node + NODE_CHILDREN))
        zero(node, field32(header, MAP_NODE_STRIDE))
        return link
    fresh = load32(header + MAP_FRESH)
    if fresh >= field32(header, MAP_NODE_COUNT):
        return 0
    store32(header + MAP_FRESH, fresh + 1)
    return fresh + 1


@native
def lpm_release(header: int, link: int) -> int:
    """Put a node that nothing leads to among the free ones."""
    node = lpm_node(header, link)
    store8(node + NODE_LIVE, 0)
    store32(node + NODE_CHILDREN, load32(header + MAP_FREE))
    store32(header + MAP_FREE, link)
    return 0


@native
def lpm_new(header: int, key: int, value: int) -> int:
    """A node with a key and a value that nothing leads to yet."""
    link = lpm_take(header)
    if link != 0:
        node = lpm_node(header, link)
        copy(node + NODE_PREFIX, key, field32(header, MAP_KEY_SIZE))
        copy(lpm_value(header, link), value, field32(header, MAP_VALUE_SIZE))
        store8(node + NODE_LIVE, 1)
    return link


@native
def lpm_place(header: int, key: int) -> int:
    """The address of the link at which a key's node is or should be put."""
    length = load32(key)
    place = header + MAP_ROOT
    while load32(place) != 0:
        node = lpm_node(header, load32(place))
        prefix = load32(node + NODE_PREFIX)
        common = lpm_common(node + NODE_DATA, key + 4, lpm_smaller(prefix, length))
        if common < prefix or prefix == length:
            break
        place = node + NODE_CHILDREN + 4 * lpm_bit(key + 4, prefix)
    return place


@native
def lpm_join(header: int, place: int, link: int, common: int) -> int:
    """Put a new node and the node at `place` under one that has their common bits."""
    middle = lpm_take(header)
    if middle == 0:
        return E_NOSPC
    node = lpm_node(header, middle)
    new = lpm_node(header, link)
    copy(node + NODE_PREFIX, new + NODE_PREFIX, field32(header, MAP_KEY_SIZE))
    store32(node + NODE_PREFIX, common)
    side = lpm_bit(new + NODE_DATA, common)
    store32(node + NODE_CHILDREN + 4 * side, link)
    store32(node + NODE_CHILDREN + 4 * (1 - side), load32(place))
    store32(place, middle)
    return 0


@native
def lpm_insert(header: int, place: int, key: int, value: int) -> int:
    """Put a key where no node of its own is yet. Under the lock."""
    if load32(header + MAP_COUNT) >= field32(header, MAP_MAX_ENTRIES):
        return E_NOSPC
    link = lpm_new(header, key, value)
    if link == 0:
        return E_NOSPC
    length = load32(key)
    there = load32(place)
    if there != 0:
        node = lpm_node(header, there)
        prefix = load32(node + NODE_PREFIX)
        common = lpm_common(node + NODE_DATA, key + 4, lpm_smaller(prefix, length))
        if common == length:
            side = lpm_bit(node + NODE_DATA, length)
            store32(lpm_node(header, link) + NODE_CHILDREN + 4 * side, there)
        elif lpm_join(header, place, link, common) != 0:
            lpm_release(header, link)
            return E_NOSPC
        else:
            store32(header + MAP_COUNT, load32(header + MAP_COUNT) + 1)
            return 0
    store32(place, link)
    store32(header + MAP_COUNT, load32(header + MAP_COUNT) + 1)
    return 0


@native
def lpm_replace(header: int, place: int, key: int, value: int) -> int:
    """Put a new node for the one at `place`, which has the same prefix: bits of the key beyond
    that are the new one's, and whoever holds the old value's address still sees that. Of the
    nodes, two an entry, one is always free. Under the lock."""
    old = load32(place)
    link = lpm_new(header, key, value)
    if link == 0:
        return E_NOSPC
    children = lpm_node(header, link) + NODE_CHILDREN
    copy(children, lpm_node(header, old) + NODE_CHILDREN, 8)
    store32(place, link)
    return lpm_release(header, old)


@native
def lpm_set(header: int, key: int, value: int, flags: int) -> int:
    """Store a value under a prefix, as the flags allow. Under the lock."""
    place = lpm_place(header, key)
    link = load32(place)
    exact = 0
    if link != 0 and load32(lpm_node(header, link) + NODE_PREFIX) == load32(key):
        node = lpm_node(header, link)
        if lpm_common(node + NODE_DATA, key + 4, load32(key)) == load32(key):
            exact = 1
    if exact == 0:
        if flags == EXIST:
            return E_NOENT
        return lpm_insert(header, place, key, value)
    live = load8(lpm_node(header, link) + NODE_LIVE)
    if live and flags == NOEXIST:
        return E_EXIST
    if live == 0:
        if flags == EXIST:
            return E_NOENT
        if load32(header + MAP_COUNT) >= field32(header, MAP_MAX_ENTRIES):
            return E_NOSPC
        store32(header + MAP_COUNT, load32(header + MAP_COUNT) + 1)
    return lpm_replace(header, place, key, value)


@native
def lpm_update(header: int, key: int, value: int, flags: int) -> int:
    """Store a value under a prefix, as the flags allow."""
    if flags > EXIST or load32(key) > lpm_bits(header):
        return E_INVAL
    lock(header + MAP_LOCK)
    result = lpm_set(header, key, value, flags)
    unlock(header + MAP_LOCK)
    return result


@native
def lpm_first(header: int, link: int) -> int:
    """The first entry at or below a link, in the order of `lpm_after`; 0 below none."""
    found = link
    while link != 0:
        found = link
        children = lpm_node(header, link) + NODE_CHILDREN
        link = load32(children)
        if link == 0:
            link = load32(children + 4)
    return found


@native
def lpm_following(header: int, key: int) -> int:
    """See `lpm_after`. Under the lock."""
    length = load32(key)
    link = load32(header + MAP_ROOT)
    found = 0
    below = 0
    while link != 0:
        node = lpm_node(header, link)
        prefix = load32(node + NODE_PREFIX)
        if prefix > length or lpm_common(node + NODE_DATA, key + 4, prefix) < prefix:
            break
        live = load8(node + NODE_LIVE)
        if prefix == length:
            if live == 0:
                break
            return lpm_first(header, below) if below != 0 else found
        side = lpm_bit(key + 4, prefix)
        if side == 0 and load32(node + NODE_CHILDREN + 4) != 0:
            below = load32(node + NODE_CHILDREN + 4)
        elif live:
            below = 0
            found = link
        link = load32(node + NODE_CHILDREN + 4 * side)
    return lpm_first(header, load32(header + MAP_ROOT))


@native
def lpm_after(header: int, key: int) -> int:
    """The link of the entry after exactly this prefix, 0 after the last one; the first one
    where there is no such prefix. As in the kernel, what is below a prefix comes before it."""
    lock(header + MAP_LOCK)
    if load32(key) > lpm_bits(header):
        link = lpm_first(header, load32(header + MAP_ROOT))
    else:
        link = lpm_following(header, key)
    unlock(header + MAP_LOCK)
    return link


@native
def lpm_prune(header: int, parent: int, place: int) -> int:
    """Take the valueless node at `place` out if it joins nothing; then its parent, if that
    joins nothing any more. `parent` is the address of the link to it, or 0."""
    link = load32(place)
    node = lpm_node(header, link)
    left = load32(node + NODE_CHILDREN)
    right = load32(node + NODE_CHILDREN + 4)
    if left != 0 and right != 0:
        return 0
    store32(place, left + right)
    lpm_release(header, link)
    if (
        parent != 0
        and left + right == 0
        and load8(lpm_node(header, load32(parent)) + NODE_LIVE) == 0
    ):
        lpm_prune(header, 0, parent)
    return 0


@native
def lpm_remove(header: int, key: int) -> int:
    """Remove exactly this prefix. Under the lock."""
    length = load32(key)
    parent = 0
    place = header + MAP_ROOT
    while load32(place) != 0:
        node = lpm_node(header, load32(place))
        prefix = load32(node + NODE_PREFIX)
        if prefix > length or lpm_common(node + NODE_DATA, key + 4, prefix) < prefix:
            return E_NOENT
        if prefix == length:
            if load8(node + NODE_LIVE) == 0:
                return E_NOENT
            store8(node + NODE_LIVE, 0)
            store32(header + MAP_COUNT, load32(header + MAP_COUNT) - 1)
            lpm_prune(header, parent, place)
            return 0
        parent = place
        place = node + NODE_CHILDREN + 4 * lpm_bit(key + 4, prefix)
    return E_NOENT


@native
def lpm_delete(header: int, key: int) -> int:
    """Remove exactly this prefix."""
    if load32(key) > lpm_bits(header):
        return E_INVAL
    lock(header + MAP_LOCK)
    result = lpm_remove(header, key)
    unlock(header + MAP_LOCK)
    return result
