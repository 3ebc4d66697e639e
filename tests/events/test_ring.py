"""Reading a ring's memory step by step: any records, half-written ones, and broken ones."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osmia.errors import OsmiaError
from osmia.events import RingBuffer, ring, ring_arrays
from osmia.events.ring import RUN_BYTES

BUSY, DISCARDED = 1 << 31, 1 << 30

MakeRing = Callable[[int], Any]


def test_a_reserved_record_holds_up_those_behind_it(memory_ring: MakeRing) -> None:
    memory = memory_ring(4096)
    reader = memory.reader()
    memory.send(b"first")
    second = memory.reserve(b"second")
    memory.send(b"third")
    assert reader.read() == [b"first"]
    assert not reader.poll(0)
    assert reader.pending == 2 * 16
    memory.commit(second)
    assert reader.read() == [b"second", b"third"]
    reader.close()


@pytest.mark.parametrize("count", [3, 40, 200])
def test_numpy_stops_at_a_reserved_record(memory_ring: MakeRing, count: int) -> None:
    memory = memory_ring(8192)
    with memory.reader() as reader:
        for index in range(count):
            memory.send(struct.pack("=Q", index))
        held = memory.reserve(struct.pack("=Q", count))
        memory.send(struct.pack("=Q", count + 1))
        assert reader.to_numpy("u8").tolist() == list(range(count))
        assert reader.to_numpy("u8").tolist() == []
        memory.commit(held, DISCARDED)
        assert reader.to_numpy("u8").tolist() == [count + 1]


def test_two_readers_share_the_events_between_them(memory_ring: MakeRing) -> None:
    memory = memory_ring(4096)
    with memory.reader() as first, memory.reader() as second:
        for index in range(4):
            memory.send(struct.pack("=Q", index))
        assert first.to_numpy("u8").tolist() == [0, 1, 2, 3]
        assert second.read() == []
        assert second.pending == 0
        for index in range(1000):  # more than the ring holds, all of it to the other one
            memory.send(struct.pack("=Q", index))
            assert len(second.read()) == 1
        memory.send(struct.pack("=Q", 7))
        assert first.pending == 16
        assert first.consumed == second.consumed
        assert first.read() == [struct.pack("=Q", 7)]


def test_an_interrupt_before_the_position_is_stored_gives_nothing_twice(
    memory_ring: MakeRing,
) -> None:
    memory = memory_ring(4096)
    with memory.reader() as reader:
        memory.send(b"one")
        memory.send(b"two")
        reader.read()
        before = bytes(memory.consumer[:8])
        memory.send(b"three")
        reader.read()
        memory.consumer[:8] = before  # as if it had not been stored
        memory.send(b"four")
        assert reader.read() == [b"four"]


def test_without_a_descriptor_iteration_ends_when_the_ring_is_empty(memory_ring: MakeRing) -> None:
    memory = memory_ring(4096)
    with memory.reader() as reader:
        memory.send(b"one")
        memory.send(b"two")
        assert list(reader) == [b"one", b"two"]
        assert list(reader) == []
        assert reader.fileno() == -1


def test_closing_leaves_the_memory_to_its_owner(memory_ring: MakeRing) -> None:
    memory = memory_ring(4096)
    memory.reader().close()
    assert memory.send(b"still there")
    with memory.reader() as reader:
        assert reader.read() == [b"still there"]


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 200), st.booleans()),
        st.tuples(st.just("burst"), st.sampled_from([0, 8, 12, 16]), st.integers(1, 60)),
        st.tuples(st.just("read"), st.none(), st.none()),
        st.tuples(st.just("some"), st.integers(1, 10), st.none()),
    ),
    max_size=40,
)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(steps=_steps)
def test_any_records_arrive_once_and_in_order(
    steps: list[tuple[str, Any, Any]], memory_ring: MakeRing
) -> None:
    memory = memory_ring(1024)
    expected: list[bytes] = []
    seen: list[bytes] = []
    number = 0
    with memory.reader() as reader:
        for step, size, more in steps:
            if step in ("send", "burst"):
                for _ in range(more if step == "burst" else 1):
                    number += 1
                    data = bytes((number + i) % 256 for i in range(size))
                    discarded = step == "send" and more
                    if memory.send(data, DISCARDED if discarded else 0) and not discarded:
                        expected.append(data)
            elif step == "read":
                seen += reader.read()
                assert seen == expected
            else:
                seen += [event for _, event in zip(range(size), reader, strict=False)]
                assert seen == expected[: len(seen)]
        seen += reader.read()
    assert seen == expected


@pytest.mark.parametrize("length", [4096, 600, (1 << 30) - 1])
def test_a_length_that_leads_out_of_the_ring_is_an_error(
    memory_ring: MakeRing, length: int
) -> None:
    memory = memory_ring(4096)
    with memory.reader() as reader:
        memory.send(bytes(8))
        memory.send(bytes(500))
        struct.pack_into("=I", memory.data, 16, length)
        with pytest.raises(OsmiaError, match="the ring buffer is corrupt at position 0x0"):
            reader.read()


def corrupt(memory: Any, length: int, produced: int) -> None:
    """A first record of this length, and a producer's position beyond what a ring holds."""
    memory.send(bytes(8))
    struct.pack_into("=I", memory.data, 0, length)
    struct.pack_into("=Q", memory.producer, 0, produced)


@pytest.mark.parametrize("beyond", [8, 4096, 3 * 4096])
def test_a_record_larger_than_the_ring_is_an_error_even_if_it_was_produced(
    memory_ring: MakeRing, beyond: int
) -> None:
    """Where the producer's position lies too: more than the ring's bytes are there to read."""
    memory = memory_ring(4096)
    with memory.reader() as reader:
        corrupt(memory, 4096 - 8 + beyond, produced=1 << 20)
        with pytest.raises(OsmiaError, match="the ring buffer is corrupt at position 0x0"):
            reader.read()


def test_a_record_that_fills_the_ring_is_read(memory_ring: MakeRing) -> None:
    memory = memory_ring(4096)
    with memory.reader() as reader:
        for fill in (1, 2):  # the second one's data wraps
            whole = bytes([fill]) * (4096 - 8)
            assert memory.send(whole)
            assert reader.read() == [whole]
            memory.send(bytes(24))
            assert reader.read() == [bytes(24)]


def test_equal_lengths_that_lead_past_the_producer_are_an_error(memory_ring: MakeRing) -> None:
    memory = memory_ring(4096)
    with memory.reader() as reader:
        for _ in range(10):
            memory.send(bytes(16))
        struct.pack_into("=Q", memory.producer, 0, 9 * 24 + 8)
        with pytest.raises(OsmiaError, match="corrupt"):
            reader.read()


def test_a_size_that_does_not_fit_the_memory_is_refused() -> None:
    eight, data = memoryview(bytearray(8)), memoryview(bytearray(8192))
    for size in (0, 3000, 8192):
        with pytest.raises(ValueError, match="not twice a ring"):
            RingBuffer.from_memory(eight, eight, data, size)


def test_a_long_run_is_read_in_pieces(memory_ring: MakeRing) -> None:
    memory = memory_ring(4 * RUN_BYTES)
    with memory.reader() as reader:
        record = bytes(RUN_BYTES // 3)
        sent = 0
        while memory.send(record):
            sent += 1
        assert next(iter(reader)) == record
        assert reader.pending > 0
        assert len(reader.read()) == sent - 1
        assert reader.pending == 0


class WeakMemory:
    """Stands in for the barrier on a machine that shows stores late: what was written
    before a record's header becomes visible at the first barrier after it was read."""

    def __init__(self, memory: Any) -> None:
        self.memory = memory
        self.late: list[tuple[int, bytes]] = []
        self.taken: list[int] = []

    def barrier(self) -> None:
        self.taken.append(struct.unpack("=Q", self.memory.consumer)[0])
        if len(self.taken) > 1:  # the first is the one after the producer's position
            for offset, data in self.late:
                self.memory._write(offset, data)
            self.late = []


@pytest.mark.parametrize("count", [1, 3, 50])
@pytest.mark.parametrize("as_array", [False, True])
def test_barriers_stand_where_a_weaker_machine_needs_them(
    memory_ring: MakeRing, monkeypatch: pytest.MonkeyPatch, count: int, as_array: bool
) -> None:
    memory = memory_ring(4096)
    weak = WeakMemory(memory)
    for index in range(count):
        offset = memory.reserve(bytes(8))
        memory.commit(offset)
        weak.late.append((offset + 8, struct.pack("=Q", index)))
    monkeypatch.setattr(ring, "barrier", weak.barrier)
    monkeypatch.setattr(ring_arrays, "barrier", weak.barrier)
    with memory.reader() as reader:
        if as_array:
            seen = reader.to_numpy(numpy.uint64).tolist()
        else:
            seen = [struct.unpack("=Q", event)[0] for event in reader.read()]
    assert seen == list(range(count))
    # Position, headers, then once more before the room is given back: not earlier.
    assert weak.taken[:3] == [0, 0, 0]
    assert struct.unpack("=Q", memory.consumer)[0] == 16 * count
