"""The memory of a BPF ring buffer: whole records out of it, in runs; no waiting, no decoding.

The layout is kernel/bpf/ringbuf.c's, since 5.8: a page with the consumer's position,
a page with the producer's, then the data. Positions count bytes and only grow; masked
they are offsets. A record is an 8-byte header (u32 length with two flag bits, u32
unused), its data, and padding to 8 bytes. The kernel maps the data twice in a row, so a
record that runs over the end of the data just goes on.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from struct import Struct
from typing import Any, Self

from osmia.errors import KernelError, OsmiaError
from osmia.events.closable import unmap
from osmia.events.ordering import barrier
from osmia.named_tuples import NamedTuple

HEADER_SIZE = 8
BUSY = 1 << 31  # reserved, not committed: the producer still writes it
DISCARDED = 1 << 30
LENGTH_MASK = DISCARDED - 1

#: A run ends after the record that reaches this size in bytes; more than that does not
#: stay in the processor's cache while its records are decoded.
RUN_BYTES = 128 * 1024

# Below this many records the attempt to find equal ones costs more than it saves.
_SHORT = 4


def record_stride(length: int) -> int:
    """The bytes from a record's header to the next one's."""
    return (length + HEADER_SIZE + 7) & ~7


class Run(NamedTuple):
    """Records that were taken, and how many of the ring's bytes they were.

    `counter` advances with `records` and knows how many are left (`operator.length_hint`).
    """

    records: Iterator[bytes]
    counter: Iterator[Any]
    size: int


@lru_cache(maxsize=64)
def _record_struct(length: int) -> Struct:
    """A record with its header and padding left out: the quickest way through equal ones."""
    return Struct(f"{HEADER_SIZE}x{length}s{record_stride(length) - HEADER_SIZE - length}x")


class Ring:
    """The consumer's end. Not for several threads at once.

    `consumer` and `producer` begin with the u64 positions, `consumer` writable; `data` has
    twice `size` bytes: the data and what a record finds that runs over its end.
    """

    def __init__(
        self,
        consumer: memoryview,
        producer: memoryview,
        data: memoryview,
        size: int,
        maps: Sequence[mmap.mmap] = (),
    ) -> None:
        if size <= 0 or size & (size - 1) or len(data) < 2 * size:
            raise ValueError(f"{len(data)} bytes are not twice a ring of {size} bytes")
        self.size = size
        self.mask = size - 1
        self._maps = maps
        self._consumer = consumer[:8].cast("B").cast("Q")
        self._producer = producer[:8].cast("B").cast("Q")
        self.data = data[: 2 * size].cast("B")
        self._words = self.data.cast("I")
        self.position = self._consumer[0]

    @classmethod
    def map(cls, fd: int, size: int) -> Self:
        """Map the ring buffer map `fd` of `size` bytes (its max_entries)."""
        page = mmap.PAGESIZE
        maps: list[mmap.mmap] = []
        try:
            maps.append(mmap.mmap(fd, page))
            maps.append(mmap.mmap(fd, page + 2 * size, prot=mmap.PROT_READ, offset=page))
        except OSError as error:
            for mapped in maps:
                mapped.close()
            raise KernelError(error.errno or 0, "map the ring buffer's memory") from None
        consumer, rest = (memoryview(mapped) for mapped in maps)
        return cls(consumer, rest[:page], rest[page:], size, maps)

    @property
    def produced(self) -> int:
        """The producer's position: records before it are reserved, maybe not committed."""
        return self._producer[0]

    @property
    def pending(self) -> int:
        """Bytes reserved and committed that were not taken yet, headers included."""
        self.catch_up()
        return self.produced - self.position

    def catch_up(self) -> None:
        """Go on behind what others took: all who map the ring share the consumer's position.

        Where this reader is ahead its own count holds: an interrupt fell before it was stored.
        """
        shared = self._consumer[0]
        if shared > self.position:
            self.position = shared

    def reachable(self) -> int:
        """Bytes from the position that can be read in one piece: up to where the ring wraps.

        A record that begins in them may end after them. Orders what the producer wrote
        before its position with the reads that follow.
        """
        available = self.pending
        barrier()
        return min(available, self.size - (self.position & self.mask))

    def header(self, offset: int) -> int:
        """The first header word of the record at `offset` bytes into the data."""
        return self._words[offset >> 2]

    def take(self) -> Run | None:
        """Copy the next records out and give their room back; None when none is committed.

        Discarded records are left out, so a run may be empty.
        """
        reachable = self.reachable()
        if not reachable:
            return None
        offset = self.position & self.mask
        header = self.header(offset)
        if header & BUSY:
            return None
        if size := self._equal(offset, header, reachable):
            block = self._copy(offset, size)
            self.advance(size)
            unpacked = _record_struct(header).iter_unpack(block)
            return Run(chain.from_iterable(unpacked), unpacked, size)
        starts, ends, size = self._walk(offset, reachable)
        block = self._copy(offset, size)
        self.advance(size)
        records = iter([block[start:end] for start, end in zip(starts, ends, strict=True)])
        return Run(records, records, size)

    def _copy(self, offset: int, size: int) -> bytes:
        barrier()
        return self.data[offset : offset + size].tobytes()

    def advance(self, size: int) -> None:
        """Give `size` bytes of room back to the producer, after all reads of them."""
        barrier()
        self.position += size
        self._consumer[0] = self.position

    def _equal(self, offset: int, header: int, reachable: int) -> int:
        """The size of a run of records of one length, found without a step for each; or 0.

        Where all headers up to one are alike, the next is where the length says: so words
        at equal distances are headers as long as they are equal.
        """
        stride = record_stride(header & LENGTH_MASK)
        count = min(-(-reachable // stride), max(1, RUN_BYTES // stride))
        if count < _SHORT or header & DISCARDED:
            return 0
        size = count * stride
        headers = self._words[offset >> 2 : (offset + size) >> 2 : stride >> 2].tolist()
        if headers.count(header) != count:
            return 0
        self._check(size, stride)
        return size

    def _walk(self, offset: int, reachable: int) -> tuple[list[int], list[int], int]:
        """Where records begin and end, one by one, up to the first that is not committed."""
        starts: list[int] = []
        ends: list[int] = []
        words = self._words
        position, stride = 0, 0
        limit = min(reachable, RUN_BYTES)
        while position < limit:
            header = words[(offset + position) >> 2]
            if header & BUSY:
                break
            length = header & LENGTH_MASK
            if not header & DISCARDED:
                starts.append(position + HEADER_SIZE)
                ends.append(position + HEADER_SIZE + length)
            stride = record_stride(length)
            position += stride
        self._check(position, stride)
        return starts, ends, position

    def _check(self, size: int, last: int) -> None:
        # Only the last record of a run can say a length that leads out of the ring.
        if size > self.produced - self.position or last > self.size:
            raise OsmiaError(f"the ring buffer is corrupt at position {self.position:#x}")

    def release(self) -> None:
        """Unmap the memory."""
        unmap((self._words, self.data, self._producer, self._consumer), self._maps)
