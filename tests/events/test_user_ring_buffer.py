"""User ring buffers: the layout in plain memory, and records that real programs drain."""

from __future__ import annotations

import struct
import sys
import threading
import time
from array import array
from collections.abc import Iterator
from typing import Any

import pytest

import osmia
from osmia.engine.maps import UserRingBufferMap
from osmia.errors import ClosedError, CodecError, OsmiaError
from osmia.events import RingFullError, UserRingBuffer
from osmia.events.ring import BUSY, DISCARDED
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.probes import features
from osmia.object.uapi import MapType
from osmia.values import plain_codec

SIZE = 4096
PACKET = bytes(64)


class Memory:
    """A ring in plain memory, with what a draining program would see of it."""

    def __init__(self) -> None:
        self.consumer = memoryview(bytearray(8))
        self.producer = memoryview(bytearray(8))
        self.data = memoryview(bytearray(2 * SIZE))
        self.ring = UserRingBuffer.from_memory(self.consumer, self.producer, self.data, SIZE)

    @property
    def produced(self) -> int:
        return int.from_bytes(self.producer, sys.byteorder)

    def consume(self, size: int) -> None:
        struct.pack_into("=Q", self.consumer, 0, struct.unpack("=Q", self.consumer)[0] + size)

    def header(self, offset: int) -> int:
        return int.from_bytes(self.data[offset : offset + 4], sys.byteorder)


@pytest.fixture
def memory() -> Memory:
    return Memory()


def test_a_record_is_busy_until_it_is_submitted(memory: Memory) -> None:
    reservation = memory.ring.reserve(5)
    assert memory.produced == 16
    assert memory.header(0) == 5 | BUSY
    reservation.data[:] = b"hello"
    reservation.submit()
    assert memory.header(0) == 5
    assert bytes(memory.data[8:13]) == b"hello"


def test_a_discarded_record_keeps_its_room(memory: Memory) -> None:
    memory.ring.reserve(8).discard()
    assert memory.header(0) == 8 | DISCARDED
    memory.ring.send(b"next")
    assert memory.header(16) == 4


def test_a_block_submits_at_its_end_and_discards_when_it_raises(memory: Memory) -> None:
    with memory.ring.reserve(4) as record:
        record.data[:] = b"good"
    with pytest.raises(KeyError), memory.ring.reserve(4):
        raise KeyError
    assert (memory.header(0), memory.header(16)) == (4, 4 | DISCARDED)


def test_a_finished_record_cannot_be_finished_again(memory: Memory) -> None:
    record = memory.ring.reserve(4)
    record.submit()
    with pytest.raises(ClosedError, match="already"):
        record.discard()


def test_a_record_that_nobody_finished_is_discarded_with_a_warning(memory: Memory) -> None:
    with pytest.warns(ResourceWarning, match="never submitted"):
        memory.ring.reserve(4)
    assert memory.header(0) == 4 | DISCARDED


def test_room_is_what_the_consumer_gave_back(memory: Memory) -> None:
    assert memory.ring.free == SIZE
    memory.ring.send(bytes(SIZE - 8))
    assert memory.ring.free == 0
    with pytest.raises(RingFullError, match="no room for 1 bytes"):
        memory.ring.reserve(1)
    memory.consume(SIZE)
    memory.ring.send(b"x")
    assert memory.ring.pending == 16


def test_a_record_may_run_over_the_end(memory: Memory) -> None:
    memory.ring.send(bytes(SIZE - 16 - 8))
    memory.consume(SIZE - 16)
    memory.ring.send(b"x" * 24)
    assert bytes(memory.data[SIZE - 8 : SIZE + 16]) == b"x" * 24


def test_a_record_that_never_fits_is_refused(memory: Memory) -> None:
    with pytest.raises(ValueError, match="never fits"):
        memory.ring.reserve(SIZE)
    with pytest.raises(ValueError, match="no codec"):
        memory.ring.reserve()


def test_a_closed_ring_says_so(memory: Memory) -> None:
    memory.ring.close()
    memory.ring.close()
    with pytest.raises(ClosedError):
        memory.ring.send(b"x")


def interrupt(ring: UserRingBuffer, monkeypatch: pytest.MonkeyPatch, handler: Any) -> None:
    """Have `handler` called once, as a signal may do it, while the ring reserves room."""
    place, calls = ring._place, iter([handler])

    def interrupted(size: int) -> int | None:
        for call in calls:
            call()
        return place(size)

    monkeypatch.setattr(ring, "_place", interrupted)


def test_what_a_signal_handler_sends_in_between_goes_behind(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(memory.ring, monkeypatch, lambda: memory.ring.send(b"from the handler"))
    memory.ring.send(b"interrupted")
    assert bytes(memory.data[8:19]) == b"interrupted"
    assert memory.header(24) == 16
    assert bytes(memory.data[32:48]) == b"from the handler"


def test_without_room_for_both_neither_is_sent_and_the_handlers_goes_with_the_next(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.ring.send(bytes(SIZE - 8 - 32))
    interrupt(memory.ring, monkeypatch, lambda: memory.ring.send(bytes(16)))
    with pytest.raises(RingFullError):
        memory.ring.send(bytes(16))
    memory.consume(SIZE - 32)
    memory.consume(24)  # the discarded one
    memory.ring.send(b"x")
    assert memory.ring.pending == 16 + 24


def test_a_signal_handler_cannot_reserve_in_between(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(memory.ring, monkeypatch, lambda: memory.ring.reserve(8))
    with pytest.raises(OsmiaError, match="reserves while its thread does"):
        memory.ring.send(b"interrupted")
    memory.ring.send(b"goes on")
    assert memory.header(0) == len(b"goes on")


def test_what_is_no_bytes_leaves_no_record_behind(memory: Memory) -> None:
    with pytest.raises(TypeError):
        memory.ring.send("text")
    assert memory.produced == 0
    memory.ring.send(array("Q", [1, 2]))
    assert bytes(memory.data[8:24]) == struct.pack("=QQ", 1, 2)


def test_values_are_encoded_by_the_codec() -> None:
    memory = Memory()
    memory.ring.codec = plain_codec(8, "little")
    memory.ring.send(258)
    assert bytes(memory.data[8:16]) == struct.pack("<Q", 258)
    with pytest.raises(CodecError):
        memory.ring.send("no number")
    assert memory.produced == 16


DRAINER = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct order { __u32 kind; __u64 amount; };

struct {
    __uint(type, BPF_MAP_TYPE_USER_RINGBUF);
    __uint(max_entries, 4096);
    __type(value, struct order);
} orders SEC(".maps");

__u64 sum, kinds;
__u64 wakeup_flags;

static long take(struct bpf_dynptr *record, void *context)
{
    struct order order;

    if (bpf_dynptr_read(&order, sizeof(order), record, 0, 0))
        return 1;
    sum += order.amount;
    kinds += order.kind;
    return 0;
}

SEC("tc") int drain(void *ctx)
{
    return bpf_user_ringbuf_drain(&orders, take, NULL, wakeup_flags);
}
char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def drainer() -> osmia.Object:
    return osmia.compile(DRAINER, vmlinux=False)


@pytest.fixture
def loaded(drainer: osmia.Object) -> Iterator[KernelObject]:
    if not features.has_map_type(MapType.USER_RINGBUF):
        pytest.skip("user ring buffers need Linux 6.1")
    with drainer.load() as loaded:
        yield loaded


def orders_of(loaded: KernelObject) -> UserRingBufferMap:
    orders = loaded.maps["orders"]
    assert isinstance(orders, UserRingBufferMap)
    return orders


@pytest.mark.kernel
def test_a_program_drains_typed_records(loaded: KernelObject) -> None:
    orders = orders_of(loaded)
    orders.record_codec = loaded.object.codec("order")
    for number in range(10):
        orders.send({"kind": 2, "amount": number})
    orders.reserve().discard()
    assert loaded.programs["drain"].run(PACKET).retval == 10
    assert (loaded.data.sum, loaded.data.kinds) == (45, 20)
    assert orders.records.free == orders.records.size


@pytest.mark.kernel
def test_a_busy_record_is_left_for_the_next_drain(loaded: KernelObject) -> None:
    orders = orders_of(loaded)
    record = orders.reserve(16)
    orders.send(struct.pack("=IxxxxQ", 1, 5))
    assert loaded.programs["drain"].run(PACKET).retval == 0
    record.data[:] = struct.pack("=IxxxxQ", 1, 7)
    record.submit()
    assert loaded.programs["drain"].run(PACKET).retval == 2
    assert loaded.data.sum == 12


@pytest.mark.kernel
def test_many_records_go_round_the_ring(loaded: KernelObject) -> None:
    orders, drain = orders_of(loaded), loaded.programs["drain"]
    for number in range(2000):
        try:
            orders.send(struct.pack("=IxxxxQ", 1, number))
        except RingFullError:
            assert drain.run(PACKET).retval > 0
            orders.send(struct.pack("=IxxxxQ", 1, number))
    drain.run(PACKET)
    assert loaded.data.sum == sum(range(2000))
    assert loaded.data.kinds == 2000


def fill(orders: UserRingBufferMap) -> None:
    while orders.records.free >= 24:
        orders.send(struct.pack("=IxxxxQ", 1, 0))


@pytest.mark.alone
@pytest.mark.kernel
def test_a_full_ring_waits_until_a_program_drains_it(loaded: KernelObject) -> None:
    orders = orders_of(loaded)
    fill(orders)
    timer = threading.Timer(0.1, loaded.programs["drain"].run, (PACKET,))
    timer.start()
    started = time.monotonic()
    orders.send(struct.pack("=IxxxxQ", 1, 99), timeout=20)
    assert 0.05 < time.monotonic() - started < 10
    timer.join()
    loaded.programs["drain"].run(PACKET)
    assert loaded.data.sum == 99


@pytest.mark.alone
@pytest.mark.kernel
def test_waiting_for_room_ends_with_its_timeout(loaded: KernelObject) -> None:
    orders = orders_of(loaded)
    fill(orders)
    started = time.monotonic()
    with pytest.raises(RingFullError):
        orders.reserve(16, timeout=0.1)
    assert time.monotonic() - started > 0.09
    used = time.process_time()
    with pytest.raises(RingFullError):
        orders.reserve(16, timeout=0.2)
    assert time.process_time() - used < 0.1, "it waits, and does not spin"


@pytest.mark.kernel
def test_closing_the_map_closes_its_writer(loaded: KernelObject) -> None:
    orders = orders_of(loaded)
    writer = orders.records
    orders.close()
    assert writer.closed
    with pytest.raises(ClosedError):
        orders.send(b"x")
