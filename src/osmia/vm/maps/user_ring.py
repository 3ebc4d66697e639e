"""User ring buffers (BPF_MAP_TYPE_USER_RINGBUF, since 6.1): records from Python to programs.

The layout is the ring buffer's (`osmia.vm.maps.ring`) with the roles exchanged.
"""

from __future__ import annotations

from typing import Any

from osmia.events.user_ring_buffer import Reservation, UserRingBuffer
from osmia.values import Codec
from osmia.vm.layout import MAP_MAX_ENTRIES, MAP_NODES, MAP_VALUES
from osmia.vm.maps.base import RawMap
from osmia.vm.maps.constants import E_2BIG, E_AGAIN, E_INVAL, M32, failure
from osmia.vm.maps.mapping import VmMap
from osmia.vm.maps.ring import (
    BUSY,
    CONSUMER,
    DISCARD,
    HEADER_SIZE,
    PRODUCER,
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


class UserRingMap(VmMap):
    """A user ring buffer: `send` records, programs take them by bpf_user_ringbuf_drain.

    `record_codec` types the records; set it before the first is sent.
    """

    def __init__(
        self,
        raw: RawMap,
        name: str,
        key_codec: Codec | None = None,
        value_codec: Codec | None = None,
    ) -> None:
        super().__init__(raw, name, key_codec)
        # The map has no values of its own: the values' type is the records'.
        self.record_codec = value_codec
        self._writer: UserRingBuffer | None = None
        self._views: list[memoryview] = []

    @property
    def records(self) -> UserRingBuffer:
        """The map's writer: `reserve`, `send`, `pending`, `free`."""
        if self._writer is None or self._writer.closed:
            memory, positions = self.vm.memory, self.raw.nodes_address
            consumer = memory.slice(positions + CONSUMER, 4096)
            producer = memory.slice(positions + PRODUCER, 4096)
            data = memory.slice(self.raw.values_address, 2 * self.max_entries)
            self._writer = UserRingBuffer.from_memory(
                consumer, producer, data, self.max_entries, codec=self.record_codec
            )
            self._views = [consumer, producer, data]
        return self._writer

    def send(self, value: Any, *, timeout: float | None = 0.0) -> None:
        """Send one record; see `osmia.events.UserRingBuffer.send`."""
        self.records.send(value, timeout=timeout)

    def reserve(self, size: int | None = None, *, timeout: float | None = 0.0) -> Reservation:
        """Room for one record, in place; see `osmia.events.UserRingBuffer.reserve`."""
        return self.records.reserve(size, timeout=timeout)

    def close(self) -> None:
        """Close the writer and take the map out of the vm."""
        self.let_go()
        super().close()

    def let_go(self) -> None:
        """See `VmMap.let_go`."""
        if self._writer is not None:
            self._writer.close()
        for view in self._views:
            view.release()
        self._views.clear()
