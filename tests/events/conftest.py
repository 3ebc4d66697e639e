"""Real ring and perf buffers with programs that fill them, and a ring in plain memory."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from osmia.events import PerfBuffer, RingBuffer
from osmia.isa import assemble
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import perf_events, syscall
from osmia.kernel.sys.attributes import PerfEventAttr
from osmia.object.uapi import MapFlag, MapType, ProgramType

PACKET = bytes(64)
PERF_TYPE_SOFTWARE, PERF_COUNT_SW_BPF_OUTPUT, PERF_SAMPLE_RAW = 1, 10, 1 << 10

NUMBERED = """
        r6 = r1
        r1 = map[fd:{state}][0]+0
        r2 = 1
        r2 = atomic64_fetch_add((u64 *)(r1 +0), r2)
        *(u64 *)(r10 -16) = r2
        r2 ^= -1
        *(u64 *)(r10 -8) = r2
        {send}
        if r0 == 0 goto out
        r1 = map[fd:{state}][0]+8
        r2 = 1
        lock *(u64 *)(r1 +0) += r2
out:    r0 = 0
        exit
"""
TO_RING = """
        r1 = map[fd:{ring}]
        r2 = r10
        r2 += -16
        r3 = 16
        r4 = 0
        call bpf_ringbuf_output
"""
TO_PERF = """
        r1 = r6
        r2 = map[fd:{ring}]
        w3 = -1
        r4 = r10
        r4 += -16
        r5 = {size}
        call bpf_perf_event_output
"""
DISCARD = """
        r1 = map[fd:{ring}]
        r2 = {size}
        r3 = 0
        call bpf_ringbuf_reserve
        if r0 == 0 goto out
        r1 = r0
        r2 = 0
        call bpf_ringbuf_discard
out:    r0 = 0
        exit
"""
PACKET_TO_RING = """
        r6 = r1
        r1 = map[fd:{ring}]
        r2 = {size}
        r3 = 0
        call bpf_ringbuf_reserve
        if r0 == 0 goto out
        r7 = r0
        {load}
        r1 = r7
        r2 = 0
        call bpf_ringbuf_submit
out:    r0 = 0
        exit
"""
LOAD_PACKET = """
        r1 = r6
        r2 = 0
        r3 = r7
        r4 = {size}
        call bpf_xdp_load_bytes
"""


class Senders:
    """Makes programs that send; `sent` and `refused` count what the numbered ones did."""

    def __init__(self, stack: ExitStack, ring: int) -> None:
        self._stack = stack
        self.ring = ring
        self._state = syscall.map_create(
            MapType.ARRAY, key_size=4, value_size=16, max_entries=1, flags=MapFlag.MMAPABLE
        )
        stack.callback(os.close, self._state)
        self._memory = mmap.mmap(self._state, mmap.PAGESIZE)
        stack.callback(self._memory.close)

    def program(self, text: str, **values: object) -> KernelProgram:
        code = assemble(text.format(ring=self.ring, state=self._state, **values))
        program = KernelProgram.load(ProgramType.XDP, code, license="GPL", name="sender")
        self._stack.callback(program.close)
        return program

    def numbered(self) -> Callable[[int], None]:
        """Send so many records: u64 number, u64 its complement."""
        program = self.program(NUMBERED.replace("{send}", TO_RING))
        return lambda count: void(program.run(PACKET, repeat=count))

    def samples(self, size: int = 16) -> Callable[..., None]:
        """The same as samples of a perf buffer, on a CPU; `size` bytes of them."""
        program = self.program(NUMBERED.replace("{send}", TO_PERF), size=size)

        def send(count: int, cpu: int = 0) -> None:
            before = os.sched_getaffinity(0)
            os.sched_setaffinity(0, {cpu})
            try:
                program.run(PACKET, repeat=count)
            finally:
                os.sched_setaffinity(0, before)

        return send

    def packets(self, size: int) -> Callable[[bytes], None]:
        """Send the first `size` bytes of a packet."""
        load = LOAD_PACKET if size else ""
        program = self.program(PACKET_TO_RING.replace("{load}", load), size=size)
        return lambda data: void(program.run(data.ljust(max(14, size), b"\0")))

    def discarding(self, size: int) -> Callable[[], None]:
        """Reserve a record and discard it."""
        program = self.program(DISCARD, size=size)
        return lambda: void(program.run(PACKET))

    @property
    def sent(self) -> int:
        return int(struct.unpack_from("=Q", self._memory, 0)[0]) - self.refused

    @property
    def refused(self) -> int:
        return int(struct.unpack_from("=Q", self._memory, 8)[0])


def void(_: object) -> None:
    return None


RING_SIZE = 64 * 1024


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def senders(stack: ExitStack) -> Senders:
    """Programs for a ring buffer map of RING_SIZE bytes."""
    fd = syscall.map_create(MapType.RINGBUF, key_size=0, value_size=0, max_entries=RING_SIZE)
    stack.callback(os.close, fd)
    return Senders(stack, fd)


@pytest.fixture
def ring(senders: Senders) -> Iterator[RingBuffer]:
    with RingBuffer(senders.ring, RING_SIZE) as ring:
        yield ring


@pytest.fixture
def perf_senders(stack: ExitStack) -> Senders:
    fd = syscall.map_create(
        MapType.PERF_EVENT_ARRAY, key_size=4, value_size=4, max_entries=os.cpu_count() or 1
    )
    stack.callback(os.close, fd)
    return Senders(stack, fd)


@pytest.fixture
def perf_fds(stack: ExitStack) -> dict[int, int]:
    """A perf event for each CPU."""
    fds = {}
    for cpu in range(os.cpu_count() or 1):
        attribute = PerfEventAttr(
            type=PERF_TYPE_SOFTWARE,
            config=PERF_COUNT_SW_BPF_OUTPUT,
            sample_type=PERF_SAMPLE_RAW,
            sample_period=1,
            wakeup_events=1,
        )
        fds[cpu] = perf_events.perf_event_open(attribute, cpu=cpu)
        stack.callback(os.close, fds[cpu])
    return fds


@pytest.fixture
def open_perf(
    perf_senders: Senders, perf_fds: dict[int, int], stack: ExitStack
) -> Callable[..., PerfBuffer]:
    def make(**options: object) -> PerfBuffer:
        buffer = stack.enter_context(PerfBuffer(perf_fds, **options))  # type: ignore[arg-type]
        for cpu, fd in perf_fds.items():
            syscall.map_element(
                syscall.Command.MAP_UPDATE_ELEM,
                perf_senders.ring,
                key=struct.pack("=I", cpu),
                value=struct.pack("=I", fd),
            )
            perf_events.perf_event_ioctl(fd, perf_events.PerfIoctl.ENABLE)
        return buffer

    return make


BUSY, DISCARDED = 1 << 31, 1 << 30


class MemoryRing:
    """A ring in memory and a producer that does what the kernel's does, a step at a time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.consumer = memoryview(bytearray(8))
        self.producer = memoryview(bytearray(8))
        self.data = memoryview(bytearray(2 * size))

    def reader(self, **options: object) -> RingBuffer:
        views = self.consumer, self.producer, self.data
        return RingBuffer.from_memory(*views, self.size, **options)  # type: ignore[arg-type]

    @property
    def position(self) -> int:
        return int(struct.unpack("=Q", self.producer)[0])

    @property
    def room(self) -> int:
        return self.size - (self.position - int(struct.unpack("=Q", self.consumer)[0]))

    def reserve(self, data: bytes) -> int | None:
        """Begin a record; where its header is, None when there is no room."""
        length = (len(data) + 15) & ~7
        if length > self.room:
            return None
        offset = self.position % self.size
        self._write(offset, struct.pack("=II", len(data) | BUSY, 0) + data)
        struct.pack_into("=Q", self.producer, 0, self.position + length)
        return offset

    def commit(self, offset: int, flags: int = 0) -> None:
        (header,) = struct.unpack_from("=I", self.data, offset)
        self._write(offset, struct.pack("=I", header & ~BUSY | flags))

    def send(self, data: bytes, flags: int = 0) -> bool:
        offset = self.reserve(data)
        if offset is not None:
            self.commit(offset, flags)
        return offset is not None

    def _write(self, offset: int, data: bytes) -> None:
        # The kernel maps the same pages twice in a row; here there are two copies.
        for index, byte in enumerate(data, offset):
            self.data[index % self.size] = self.data[index % self.size + self.size] = byte


@pytest.fixture(scope="session")
def memory_ring() -> Callable[[int], MemoryRing]:
    """Makes rings in memory, of so many bytes."""
    return MemoryRing
