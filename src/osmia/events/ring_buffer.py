"""`RingBuffer`: the records of a BPF_MAP_TYPE_RINGBUF map as events, since Linux 5.8."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

from osmia.events.record_source import RecordSource, Rows
from osmia.events.ring import Ring
from osmia.events.source import Batch, EventCodec, EventSource, RecordType

if TYPE_CHECKING:
    import numpy


class RingBuffer(RecordSource[Any]):
    """Reads a ring buffer: values of `codec`, or `bytes` without one.

    `fd` is the map's descriptor and `size` its max_entries, in bytes. The descriptor stays
    the caller's; `close`, when given, is called once when the ring buffer is closed.

    The program decides whether it wakes the reader: after records that it sends with
    BPF_RB_NO_WAKEUP only, a waiting reader goes on waiting; `read` finds them. A ring
    buffer does not count what did not fit into it: the program is told (reserve gives
    NULL) and must count.
    """

    def __init__(
        self,
        fd: int,
        size: int,
        *,
        codec: EventCodec | None = None,
        close: Callable[[], None] | None = None,
        name: str = "",
    ) -> None:
        ring = Ring.map(fd, size)
        super().__init__(f"ring buffer {name!r}" if name else "ring buffer", close)
        self._set(ring, codec, fd)

    @classmethod
    def from_fd(cls, fd: int, size: int, codec: EventCodec | None = None) -> Self:
        """The ring buffer of the map `fd`, whose max_entries is `size` bytes."""
        return cls(fd, size, codec=codec)

    @classmethod
    def from_memory(
        cls,
        consumer: memoryview,
        producer: memoryview,
        data: memoryview,
        size: int,
        *,
        codec: EventCodec | None = None,
        close: Callable[[], None] | None = None,
        fd: int = -1,
        name: str = "",
    ) -> Self:
        """A ring in memory that is laid out as the kernel's; see `osmia.events.ring`.

        `data` has twice `size` bytes. The views are not released by `close`; their owner
        does that. Without an `fd` to wait for, iteration ends when the ring is empty.
        """
        self = cls.__new__(cls)
        ring = Ring(consumer, producer, data, size)
        EventSource.__init__(self, f"ring buffer {name!r}" if name else "ring buffer", close)
        self._set(ring, codec, fd)
        return self

    def _set(self, ring: Ring, codec: EventCodec | None, fd: int) -> None:
        self._ring = ring
        self._fd = fd
        self._codec = codec
        self._record_type = RecordType(codec, "ring buffer")
        self._records: Iterator[bytes] = iter(())

    @property
    def size(self) -> int:
        """How many bytes the ring holds, the records' headers included."""
        return self._ring.size

    @property
    def pending(self) -> int:
        """How many of its bytes are in use: reserved or committed, not yet taken."""
        return self._while_open(self._backlog)

    @property
    def produced(self) -> int:
        """How many bytes were ever reserved in it, headers included; it only grows."""
        return self._while_open(lambda: self._ring.produced)

    @property
    def consumed(self) -> int:
        """How many of those were taken: `produced` less `pending`, at one moment."""
        self._while_open(self._ring.catch_up)
        return self._ring.position

    def fileno(self) -> int:
        """The map's descriptor, readable when records are there; -1 when there is none."""
        self._check_open()
        return self._fd

    def to_numpy(self, dtype: Any = None) -> numpy.ndarray[Any, Any]:
        """What is there now as an array of its own; empty when nothing is.

        `dtype` is that of the codec unless given: records must have just its size. The
        array ends before the first record that has not; when that is the very next one,
        ValueError says its length and it stays for `read`. TypeError without a dtype.
        Imports numpy.
        """
        self._check_open()
        return self._take(self._record_type.resolve(dtype)).records

    def _take(self, dtype: numpy.dtype[Any], most: int | None = None) -> Rows:
        from osmia.events.ring_arrays import take_array

        def take() -> tuple[numpy.ndarray[Any, Any], list[bytes]]:
            array, rest = take_array(self._ring, dtype, list(self._records), most)
            left = iter(rest)
            self._serve(left, left)
            return array, rest

        array, rest = self._while_open(take)
        if rest and not len(array):
            raise ValueError(f"a record of {len(rest[0])} bytes, not the dtype's {dtype.itemsize}")
        return Rows(array)

    def _refill(self) -> int:
        run = self._ring.take()
        if run is None:
            return 0
        self._serve(run.records, run.counter)
        return run.size

    def _serve(self, records: Iterator[bytes], counter: Iterator[Any]) -> None:
        # All of it runs in C: a Python step for each record would cost as much as decoding.
        self._records = records
        events = records if self._codec is None else map(self._codec.decode, records)
        self._batch = Batch(events, counter)

    def _backlog(self) -> int:
        return self._ring.pending

    def _release(self) -> None:
        self._ring.release()
