"""`PerfBuffer`: the samples of a BPF_MAP_TYPE_PERF_EVENT_ARRAY map as events, since Linux 4.3.

One ring a CPU, laid out as include/uapi/linux/perf_event.h says: a page with positions,
then the data. Records wrap at the end of the data; they are copied out before they are
looked at, so only the copy has to know.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import select
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import lru_cache
from itertools import chain, repeat
from struct import Struct
from typing import Any, ClassVar
from weakref import WeakSet

from osmia.errors import KernelError, OsmiaError
from osmia.events.closable import unmap
from osmia.events.ordering import barrier
from osmia.events.samples import SampleSource
from osmia.events.source import EventCodec
from osmia.named_tuples import NamedTuple

#: Data pages a CPU when nothing is said; libbpf's tools use as many.
DEFAULT_PAGES = 64

# struct perf_event_mmap_page: u64 data_head, data_tail, data_offset, data_size (the last
# two since 4.1), from byte 1024 on.
_HEAD, _TAIL, _OFFSET, _SIZE = range(128, 132)

_LOST = 2  # PERF_RECORD_LOST: u64 id, u64 lost
_SAMPLE = 9  # PERF_RECORD_SAMPLE: u32 size, bytes
_HEADER = Struct("=IHH")  # struct perf_event_header: type, misc, size
_RAW_SIZE = Struct("=I")
_LOST_COUNT = Struct("=Q")
_LOST_OFFSET = _HEADER.size + 8
_SAMPLE_DATA = _HEADER.size + _RAW_SIZE.size

_MAP_FIXED = 0x10  # include/uapi/asm-generic/mman-common.h


class _Samples(NamedTuple):
    """What a CPU's records say. `counter` advances with `samples` and knows how many are left."""

    samples: Iterator[bytes]
    counter: Iterator[Any]
    lost: int


class _CpuRing:
    """One CPU's ring. `tail` is the reader's own count of the bytes taken.

    The kernel does not give the mapping to a child made by fork (VM_DONTCOPY): there is a hole
    in the child's memory, which would end it when it is read. `fill_holes` puts pages there.
    """

    living: ClassVar[WeakSet[_CpuRing]] = WeakSet()

    def __init__(self, cpu: int, fd: int, pages: int) -> None:
        self.cpu = cpu
        self.lost = 0
        try:
            self._map = mmap.mmap(fd, (1 + pages) * mmap.PAGESIZE)
        except OSError as error:
            what = f"map the perf buffer of CPU {cpu} ({pages} pages)"
            hint = "see /proc/sys/kernel/perf_event_mlock_kb" if error.errno == 1 else ""
            raise KernelError(error.errno or 0, what, hint=hint) from None
        view = memoryview(self._map)
        self._control = view[: mmap.PAGESIZE].cast("Q")
        offset = self._control[_OFFSET] or mmap.PAGESIZE
        self.size = self._control[_SIZE] or pages * mmap.PAGESIZE
        self._data = view[offset : offset + self.size]
        self.tail = self._control[_TAIL]
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        _CpuRing.living.add(self)

    @classmethod
    def fill_holes(cls) -> None:
        """After a fork, in the child: memory of zeros where rings of the parent's were."""
        libc = ctypes.CDLL(None)
        size, number, offset = ctypes.c_size_t, ctypes.c_int, ctypes.c_long
        libc.mmap.argtypes = (ctypes.c_void_p, size, number, number, number, offset)
        for ring in cls.living:
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED
            access = mmap.PROT_READ | mmap.PROT_WRITE
            libc.mmap(ring.address, len(ring._map), access, flags, -1, 0)

    @property
    def pending(self) -> int:
        return self._control[_HEAD] - self.tail

    def take(self) -> bytes:
        """Copy all records out and give their room back."""
        pending = self.pending
        if not pending:
            return b""
        barrier()
        offset = self.tail % self.size
        first = min(pending, self.size - offset)
        block = self._data[offset : offset + first].tobytes()
        block += self._data[: pending - first].tobytes()
        barrier()
        self.tail += pending
        self._control[_TAIL] = self.tail
        return block

    def release(self) -> None:
        _CpuRing.living.discard(self)
        unmap((self._control, self._data), (self._map,))


os.register_at_fork(after_in_child=_CpuRing.fill_holes)


class PerfBuffer(SampleSource):
    """Reads the rings of several CPUs: events are pairs of the CPU and the value.

    `fds` has the perf event of each CPU, opened by the caller as PERF_COUNT_SW_BPF_OUTPUT
    with `sample_type` PERF_SAMPLE_RAW and `wakeup_events` 1, and neither in the map nor
    enabled before this is made, for what is sent before is lost. `pages` of data a CPU is
    a power of two. The descriptors stay the caller's; `close` is called once, when the
    buffer is closed.

    It belongs to the process that made it: the kernel does not share its memory with a child
    made by fork, where reading it is an OsmiaError, and closing it undoes nothing of the parent's.

    Values are those of `codec`, or `bytes` without one. The kernel pads samples: they
    have up to 7 bytes more than the program sent. There is no order between CPUs.
    """

    def __init__(
        self,
        fds: Mapping[int, int],
        *,
        pages: int = DEFAULT_PAGES,
        codec: EventCodec | None = None,
        close: Callable[[], None] | None = None,
        name: str = "",
    ) -> None:
        if pages <= 0 or pages & (pages - 1):
            raise ValueError(f"{pages} pages are not a power of two")
        rings: list[_CpuRing] = []
        with ExitStack() as undo:
            for cpu, fd in fds.items():
                rings.append(_CpuRing(cpu, fd, pages))
                undo.callback(rings[-1].release)
            epoll = undo.enter_context(select.epoll())
            for fd in fds.values():
                epoll.register(fd, select.EPOLLIN)
            undo.pop_all()
        super().__init__(f"perf buffer {name!r}" if name else "perf buffer", codec, close)
        self._process = os.getpid()
        self._rings = rings
        self._epoll = epoll
        self._turn = 0

    def _check_open(self) -> None:
        super()._check_open()
        if os.getpid() != self._process:
            raise OsmiaError(f"{self.what} was made in another process; open the map's events here")

    def close(self) -> None:
        """End the source: what was not read is dropped. Closing twice does nothing."""
        if os.getpid() != self._process:
            self._on_close = None  # the entries in the map are the parent's
        super().close()

    @property
    def size(self) -> int:
        """Bytes of data a CPU, the records' headers included."""
        return self._rings[0].size if self._rings else 0

    @property
    def pending(self) -> int:
        """Bytes in the rings of all CPUs that were not taken yet."""
        return self._while_open(self._backlog)

    @property
    def lost(self) -> int:
        """Samples that found no room, as far as the records taken so far tell."""
        return sum(ring.lost for ring in self._rings)

    @property
    def lost_by_cpu(self) -> dict[int, int]:
        """`lost`, by CPU."""
        return {ring.cpu: ring.lost for ring in self._rings}

    def fileno(self) -> int:
        """An epoll descriptor, readable when a sample is there on any CPU."""
        self._check_open()
        return self._epoll.fileno()

    def _refill(self) -> int:
        """The next CPU that has something: each gets its turn."""
        count = len(self._rings)
        for step in range(count):
            ring = self._rings[(self._turn + step) % count]
            if block := ring.take():
                self._turn = (self._turn + step + 1) % count
                samples, counter, lost = _samples(ring.cpu, block)
                ring.lost += lost
                self._serve(repeat(ring.cpu), samples, counter)
                return len(block)
        return 0

    def _backlog(self) -> int:
        return sum(ring.pending for ring in self._rings)

    def _release(self) -> None:
        self._epoll.close()
        for ring in self._rings:
            ring.release()


@lru_cache(maxsize=64)
def _sample_struct(length: int, size: int) -> Struct:
    return Struct(f"{_SAMPLE_DATA}x{length}s{size - _SAMPLE_DATA - length}x")


def _samples(cpu: int, block: bytes) -> _Samples:
    """The samples in a CPU's records."""
    return _equal_samples(block) or _walk_samples(cpu, block)


def _equal_samples(block: bytes) -> _Samples | None:
    """All records if they are samples of one size, without a step for each."""
    if len(block) % 8 or not block:
        return None
    kind, _, size = _HEADER.unpack_from(block)
    if kind != _SAMPLE or size % 8 or size < 16 or len(block) % size:
        return None
    (length,) = _RAW_SIZE.unpack_from(block, _HEADER.size)
    if length > size - _SAMPLE_DATA:
        return None
    # Where all records up to one have this size, the next begins where it says.
    words = memoryview(block).cast("I")
    for column in range(_SAMPLE_DATA // 4):
        values = words[column :: size // 4].tolist()
        if values.count(words[column]) != len(values):
            return None
    unpacked = _sample_struct(length, size).iter_unpack(block)
    return _Samples(chain.from_iterable(unpacked), unpacked, 0)


def _walk_samples(cpu: int, block: bytes) -> _Samples:
    samples: list[bytes] = []
    lost = 0
    position = 0
    end = len(block)
    while position < end:
        if end - position < _HEADER.size:
            raise _corrupt(cpu)
        kind, _, size = _HEADER.unpack_from(block, position)
        if size < _SAMPLE_DATA or position + size > end:
            raise _corrupt(cpu)
        if kind == _SAMPLE:
            (length,) = _RAW_SIZE.unpack_from(block, position + _HEADER.size)
            if length > size - _SAMPLE_DATA:
                raise _corrupt(cpu)
            start = position + _SAMPLE_DATA
            samples.append(block[start : start + length])
        elif kind == _LOST:
            if size < _LOST_OFFSET + _LOST_COUNT.size:
                raise _corrupt(cpu)
            lost += _LOST_COUNT.unpack_from(block, position + _LOST_OFFSET)[0]
        position += size
    found = iter(samples)
    return _Samples(found, found, lost)


def _corrupt(cpu: int) -> OsmiaError:
    return OsmiaError(f"the perf buffer of CPU {cpu} is corrupt")
