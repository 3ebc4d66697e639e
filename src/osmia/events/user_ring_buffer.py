"""`UserRingBuffer`: records for programs, through a BPF_MAP_TYPE_USER_RINGBUF map, since 6.1.

The layout is the ring buffer's (see `osmia.events.ring`) with the roles exchanged: this
process writes the producer's position and the data, the kernel the consumer's position
when a program drains the records (`bpf_user_ringbuf_drain`).
"""

from __future__ import annotations

import mmap
import select
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self

from osmia.errors import ClosedError, CodecError, KernelError, OsmiaError
from osmia.events.closable import Closable
from osmia.events.ordering import barrier
from osmia.events.ring import BUSY, DISCARDED, HEADER_SIZE, LENGTH_MASK, record_stride


class RecordCodec(Protocol):
    """What records need of a codec; `osmia.values.Codec` is one. `size` is in bytes."""

    size: int

    def encode(self, value: Any) -> bytes:
        """The bytes of a value."""


class RingFullError(OsmiaError):
    """A user ring buffer has no room for a record now; there will be when a program drains it."""


class Reservation:
    """Room for one record in the ring: write to `data`, then `submit` or `discard` it.

    As a context manager it submits at the end, and discards when the block raises. One
    that is neither holds up all later records, so it is discarded when it is collected.
    """

    __slots__ = ("_offset", "_ring", "data")

    def __init__(self, ring: UserRingBuffer, offset: int, data: memoryview) -> None:
        self.data = data
        self._ring: UserRingBuffer | None = ring
        self._offset = offset

    def submit(self) -> None:
        """Give the record to the program; `data` cannot be used any more. Only once."""
        self._finish(0)

    def discard(self) -> None:
        """Let programs skip the record. Only once."""
        self._finish(DISCARDED)

    def _finish(self, flag: int) -> None:
        ring, self._ring = self._ring, None
        if ring is None:
            raise ClosedError("the record was submitted or discarded already")
        length = len(self.data)
        self.data.release()
        ring._commit(self._offset, length | flag)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._ring is not None:
            self._finish(0 if kind is None else DISCARDED)

    def __del__(self) -> None:
        ring = getattr(self, "_ring", None)
        if ring is None:
            return
        warnings.warn(
            "a record was reserved and never submitted", ResourceWarning, stacklevel=2, source=self
        )
        if not ring.closed:
            self.discard()


class UserRingBuffer(Closable):
    """Writes records into a user ring buffer: values of `codec`, or bytes without one.

    `fd` is the map's descriptor and `size` its max_entries, in bytes. The descriptor stays
    the caller's; `close`, when given, is called once when this is closed. Threads may share
    it; one that waits for room notices a `close` when it is woken next. What a signal handler
    sends while its own thread is about to reserve room is sent right behind that record.
    """

    def __init__(
        self,
        fd: int,
        size: int,
        *,
        codec: RecordCodec | None = None,
        close: Callable[[], None] | None = None,
        name: str = "",
    ) -> None:
        page = mmap.PAGESIZE
        maps: list[mmap.mmap] = []
        try:
            maps.append(mmap.mmap(fd, page, prot=mmap.PROT_READ))
            maps.append(mmap.mmap(fd, page + 2 * size, offset=page))
        except OSError as error:
            for mapped in maps:
                mapped.close()
            raise KernelError(error.errno or 0, "map the user ring buffer's memory") from None
        consumer, rest = (memoryview(mapped) for mapped in maps)
        self._set(consumer, rest[:page], rest[page:], size, codec, maps, name)
        self._fd = fd
        self._on_close = close

    @classmethod
    def from_memory(
        cls,
        consumer: memoryview,
        producer: memoryview,
        data: memoryview,
        size: int,
        *,
        codec: RecordCodec | None = None,
        close: Callable[[], None] | None = None,
        name: str = "",
    ) -> Self:
        """A ring in memory that is laid out as the kernel's; it cannot wait for room.

        `consumer` and `producer` begin with the u64 positions; `data` has twice `size`
        bytes, the second half being the first one again.
        """
        self = cls.__new__(cls)
        self._set(consumer, producer, data, size, codec, (), name)
        self._fd = -1
        self._on_close = close
        return self

    def _set(
        self,
        consumer: memoryview,
        producer: memoryview,
        data: memoryview,
        size: int,
        codec: RecordCodec | None,
        maps: Sequence[mmap.mmap],
        name: str,
    ) -> None:
        if size <= 0 or size & (size - 1) or len(data) < 2 * size:
            raise ValueError(f"{len(data)} bytes are not twice a ring of {size} bytes")
        super().__init__(f"user ring buffer {name!r}" if name else "user ring buffer")
        self.size = size
        self.codec = codec
        self._maps = maps
        self._consumer = consumer[:8].cast("B").cast("Q")
        self._producer = producer[:8].cast("B").cast("Q")
        self._data = data[: 2 * size].cast("B")
        self._words = self._data.cast("I")
        self._reserving = False
        self._deferred: deque[bytes] = deque()  # what such handlers sent in between

    @property
    def pending(self) -> int:
        """Bytes that no program took yet, the records' headers included."""
        return self._while_open(lambda: self._producer[0] - self._consumer[0])

    @property
    def free(self) -> int:
        """Bytes of room; a record takes 8 more than its size, rounded up to 8."""
        return self.size - self.pending

    def send(self, value: Any, *, timeout: float | None = 0.0) -> None:
        """Put one record into the ring: a value of the codec, or bytes without one.

        `timeout` as for `reserve`. Raises RingFullError, CodecError.
        """
        encoded = value if self.codec is None else self.codec.encode(value)
        try:
            contents = memoryview(encoded).cast("B")
        except TypeError:
            raise CodecError(f"a record is bytes, not {value!r:.80}") from None
        with self._lock:
            deferred = self._reserving
            if deferred:
                self._record_size(len(contents))
                self._deferred.append(bytes(contents))
        if not deferred:
            reservation = self.reserve(len(contents), timeout=timeout)
            reservation.data[:] = contents
            reservation.submit()

    def reserve(self, size: int | None = None, *, timeout: float | None = 0.0) -> Reservation:
        """Room for a record of `size` bytes (None: the codec's), to be filled and submitted.

        Waits for a program to make room, `timeout` seconds at most (None: for ever; 0: not
        at all). A program that drains with BPF_RB_NO_WAKEUP wakes nobody.

        Raises RingFullError when there is no room in that time, ValueError for a size that
        the ring can never hold.
        """
        wanted = self._record_size(size)
        reservation = self._try_reserve(wanted)
        if reservation is None and timeout != 0:
            reservation = self._reserve_waiting(wanted, timeout)
        if reservation is None:
            raise RingFullError(f"{self.what} has no room for {wanted} bytes")
        return reservation

    def _record_size(self, size: int | None) -> int:
        if size is None:
            if self.codec is None:
                raise ValueError(f"{self.what} has no codec: say how many bytes to reserve")
            size = self.codec.size
        if not isinstance(size, int):
            raise TypeError(f"size={size!r:.80}: a number of bytes is needed")
        if size < 0 or size > LENGTH_MASK or record_stride(size) > self.size:
            raise ValueError(f"a record of {size} bytes never fits {self.what} of {self.size}")
        return size

    def _try_reserve(self, size: int) -> Reservation | None:
        """Room for a record, and what signal handlers sent meanwhile behind it; or None."""
        reservation = self._reserve_now(size)
        if reservation is not None and not self._send_deferred():
            reservation.discard()
            return None
        return reservation

    def _send_deferred(self) -> bool:
        """Whether there was room for all of it; what there was none for is tried again."""
        while self._deferred:
            contents = self._deferred.popleft()
            reservation = self._reserve_now(len(contents))
            if reservation is None:
                self._deferred.appendleft(contents)
                return False
            reservation.data[:] = contents
            reservation.submit()
        return True

    def _reserve_now(self, size: int) -> Reservation | None:
        return self._while_open(lambda: self._reserve(size))

    def _reserve(self, size: int) -> Reservation | None:
        if self._reserving:
            raise OsmiaError(f"{self.what}: a signal handler reserves while its thread does")
        self._reserving = True
        try:
            offset = self._place(size)
        finally:
            self._reserving = False
        if offset is None:
            return None
        start = offset + HEADER_SIZE
        return Reservation(self, offset, self._data[start : start + size])

    def _place(self, size: int) -> int | None:
        """Reserve a record: its offset into the data, None where there is no room."""
        stride = record_stride(size)
        position = self._producer[0]
        if self.size - (position - self._consumer[0]) < stride:
            return None
        barrier()  # the room was read out before it is written to again
        offset = position & (self.size - 1)
        self._words[offset >> 2] = size | BUSY
        self._words[(offset >> 2) + 1] = 0
        barrier()  # who sees the position sees that the record is not finished
        self._producer[0] = position + stride
        return offset

    def _reserve_waiting(self, size: int, timeout: float | None) -> Reservation | None:
        if self._fd < 0:
            return None
        deadline = None if timeout is None else time.monotonic() + timeout
        with select.epoll() as poller:
            # Edge-triggered: the descriptor is writable when there is any room at all, and
            # what matters is that a program took something since the last look.
            poller.register(self._fd, select.EPOLLOUT | select.EPOLLET)
            while True:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                woken = poller.poll(left)
                reservation = self._try_reserve(size)
                if reservation is not None or not woken:
                    return reservation

    def _commit(self, offset: int, header: int) -> None:
        barrier()  # the data before the header that says it is complete
        self._while_open(lambda: self._words.__setitem__(offset >> 2, header))

    def fileno(self) -> int:
        """The map's descriptor, writable when there is room; -1 when there is none."""
        self._check_open()
        return self._fd

    def close(self) -> None:
        """Unmap the memory; what was submitted stays for programs. Twice does nothing.

        An open reservation can only be dropped then, and programs wait for it for ever.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for view in (self._words, self._data, self._producer, self._consumer):
                with suppress(BufferError):
                    view.release()
            # The data of an open reservation keeps the pages until it is dropped.
            for mapped in self._maps:
                with suppress(BufferError):
                    mapped.close()
        if self._on_close is not None:
            self._on_close()

    def __repr__(self) -> str:
        return f"<UserRingBuffer {self.what}{', closed' if self._closed else ''}>"
