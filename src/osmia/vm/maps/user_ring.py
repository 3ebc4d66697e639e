"""User ring buffers (BPF_MAP_TYPE_USER_RINGBUF, since 6.1): records from Python to programs.

The layout is the ring buffer's (`osmia.vm.maps.ring`) with the roles exchanged.
"""

from __future__ import annotations

from osmia.vm.layout import MAP_MAX_ENTRIES, MAP_NODES, MAP_VALUES
from osmia.vm.maps.constants import E_2BIG, E_AGAIN, E_INVAL, M32, failure
from osmia.vm.maps.ring import (
    BUSY,
    CONSUMER,
    DISCARD,
    HEADER_SIZE,
    ring_consumer,
    ring_producer,
)
from osmia.vm.native import acquire32, field32, field64, native, release64

E_NODATA = failure(61)
FLAGS = BUSY | DISCARD


@native
def user_ring_peek(header: int) -> int:
    """The address of the next record, or a failure: -ENODATA when there is none, -EAGAIN
    when one that was discarded is skipped now, others for what is no record."""
    start = ring_consumer(header)
    left = ring_producer(header) - start
    capacity = field32(header, MAP_MAX_ENTRIES)
    if left == 0 or left >> 63:
        return E_NODATA
    record = field64(header, MAP_VALUES) + (start & (capacity - 1) & ~7)
    length = acquire32(record)
    total = ((length & ~FLAGS) + HEADER_SIZE + 7) // 8 * 8
    if total > left or left & 7:
        return E_INVAL
    if total > capacity:
        return E_2BIG
    if length & BUSY:
        return E_NODATA
    if length & DISCARD:
        release64(field64(header, MAP_NODES) + CONSUMER, start + total)
        return E_AGAIN
    return record


@native
def user_ring_take(header: int, size: int) -> int:
    """Take the record of `size` bytes that was peeked at."""
    total = ((size & M32) + HEADER_SIZE + 7) // 8 * 8
    release64(field64(header, MAP_NODES) + CONSUMER, ring_consumer(header) + total)
    return 0
