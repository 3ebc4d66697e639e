"""Maps that this process sends records through, to programs: user ring buffers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osmia.engine.maps.base import Map
from osmia.engine.raw_map import RawMap
from osmia.object.uapi import MapType
from osmia.values import Codec

if TYPE_CHECKING:
    from osmia.events import Reservation, UserRingBuffer


class UserRingBufferMap(Map, types=(MapType.USER_RINGBUF,)):
    """BPF_MAP_TYPE_USER_RINGBUF (since 6.1): records that programs take by
    `bpf_user_ringbuf_drain`.

    `record_codec` types the records; set it before the first is sent. Without one they
    are `bytes`. The memory is mapped at the first use and unmapped with the map.
    """

    def __init__(
        self, raw: RawMap, key_codec: Codec | None = None, value_codec: Codec | None = None
    ) -> None:
        # The map has no values of its own: the values' type is the records'.
        self.record_codec = value_codec
        super().__init__(raw, key_codec, None)
        self._writer: UserRingBuffer | None = None

    @property
    def records(self) -> UserRingBuffer:
        """The map's writer: `reserve`, `send`, `pending`, `free`."""
        self.raw.check_open()
        if self._writer is None or self._writer.closed:
            self._writer = self.raw.records(self.record_codec)
        return self._writer

    def send(self, value: Any, *, timeout: float | None = 0.0) -> None:
        """Send one record; see `osmia.events.UserRingBuffer.send`."""
        self.records.send(value, timeout=timeout)

    def reserve(self, size: int | None = None, *, timeout: float | None = 0.0) -> Reservation:
        """Room for one record, in place; see `osmia.events.UserRingBuffer.reserve`."""
        return self.records.reserve(size, timeout=timeout)

    def close(self) -> None:
        """Unmap the memory and let go of the map."""
        if self._writer is not None:
            self._writer.close()
        super().close()
