"""Ring buffers (BPF_MAP_TYPE_RINGBUF, since 5.8).

Records are laid out as the kernel's: an 8-byte header (u32 length with the busy and discard
bits, u32 unused), then the data, rounded up to 8 bytes. Where the kernel maps its pages
twice so that no record is ever cut, the room behind the data is simply there: a record that
begins near the end runs on into it. Positions lie in control memory.
"""

from __future__ import annotations

from osmia.vm.layout import MAP_LOCK, MAP_MAX_ENTRIES, MAP_NODES, MAP_VALUES
from osmia.vm.maps.constants import E_AGAIN, E_INVAL
from osmia.vm.native import (
    acquire64,
    copy,
    field32,
    field64,
    load32,
    load64,
    lock,
    native,
    region_size,
    release32,
    release64,
    store32,
    unlock,
)

CONSUMER = 0  # u64, from MAP_NODES
PRODUCER = 4096  # u64, further on; nothing here is mapped by pages of its own
POSITIONS_SIZE = 2 * 4096

HEADER_SIZE = 8
BUSY = 1 << 31
DISCARD = 1 << 30
LARGEST_RECORD = (1 << 30) - 1

AVAILABLE_DATA = 0
RING_SIZE = 1
CONSUMER_POSITION = 2
PRODUCER_POSITION = 3


@native
def ring_consumer(header: int) -> int:
    """The position up to which records were read."""
    return acquire64(field64(header, MAP_NODES) + CONSUMER)


@native
def ring_producer(header: int) -> int:
    """The position up to which records were reserved."""
    return acquire64(field64(header, MAP_NODES) + PRODUCER)


@native
def ring_reserve(header: int, size: int) -> int:
    """The address of a new record's data, or 0 when there is no room."""
    if size > LARGEST_RECORD:
        return 0
    length = (size + HEADER_SIZE + 7) // 8 * 8
    capacity = field32(header, MAP_MAX_ENTRIES)
    if length > capacity:
        return 0
    lock(header + MAP_LOCK)
    position = load64(field64(header, MAP_NODES) + PRODUCER)
    if position + length - ring_consumer(header) >= capacity:
        unlock(header + MAP_LOCK)
        return 0
    record = field64(header, MAP_VALUES) + (position & (capacity - 1))
    store32(record, size | BUSY)
    store32(record + 4, 0)
    release64(field64(header, MAP_NODES) + PRODUCER, position + length)
    unlock(header + MAP_LOCK)
    return record + HEADER_SIZE


@native
def ring_commit(data: int, discard: int) -> int:
    """End a reservation: give the record to the consumer, or have it skipped."""
    record = ((data & (region_size() - 1)) - HEADER_SIZE) & (region_size() - 1) & ~3
    length = load32(record)
    if length & BUSY:
        length = length ^ BUSY
        if discard:
            length = length | DISCARD
        release32(record, length)
    return 0


@native
def ring_output(header: int, data: int, size: int, flags: int) -> int:
    """Copy a whole record in."""
    if flags & ~3:
        return E_INVAL
    record = ring_reserve(header, size)
    if record == 0:
        return E_AGAIN
    copy(record, data, size)
    return ring_commit(record, 0)


@native
def ring_query(header: int, what: int) -> int:
    """What bpf_ringbuf_query tells."""
    if what == AVAILABLE_DATA:
        return ring_producer(header) - ring_consumer(header)
    if what == RING_SIZE:
        return field32(header, MAP_MAX_ENTRIES)
    if what == CONSUMER_POSITION:
        return ring_consumer(header)
    if what == PRODUCER_POSITION:
        return ring_producer(header)
    return 0
