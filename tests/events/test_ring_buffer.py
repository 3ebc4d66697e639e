"""RingBuffer on real kernel rings: every record once, in order, whoever waits how."""

from __future__ import annotations

import asyncio
import mmap
import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy
import pytest

import osmia
from osmia.errors import ClosedError, CodecError, KernelError
from osmia.events import RingBuffer

RING_SIZE = 64 * 1024
NUMBERED = struct.Struct("=QQ")

pytestmark = pytest.mark.kernel


class Number:
    """A codec for what the numbered senders send: checks the complement, gives the number."""

    size = 16

    def decode(self, buffer: bytes, offset: int = 0) -> int:
        if len(buffer) < self.size:
            raise CodecError(f"{len(buffer)} bytes")
        number, complement = NUMBERED.unpack_from(buffer, offset)
        assert number ^ complement == (1 << 64) - 1
        return int(number)

    def dtype(self) -> numpy.dtype[Any]:
        return numpy.dtype([("number", "u8"), ("complement", "u8")])


@pytest.fixture
def numbers(senders: Any) -> Iterator[RingBuffer]:
    with RingBuffer(senders.ring, RING_SIZE, codec=Number(), name="numbers") as ring:
        yield ring


@contextmanager
def alarm_after(seconds: float, handler: Callable[[int, Any], None]) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def running(action: Callable[[], object]) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=action)
    thread.start()
    try:
        yield thread
    finally:
        thread.join()


def test_records_are_bytes_without_a_codec(senders: Any, ring: RingBuffer) -> None:
    send = senders.packets(20)
    send(b"the first packet")
    send(b"the second packet")
    assert ring.read() == [b"the first packet".ljust(20, b"\0"), b"the second packet\0\0\0"]
    assert ring.read() == []


def test_records_are_values_of_the_codec(senders: Any, numbers: RingBuffer) -> None:
    senders.numbered()(1000)
    assert numbers.read() == list(range(1000))


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 64, 1000])
def test_any_size_of_record(senders: Any, ring: RingBuffer, size: int) -> None:
    data = os.urandom(max(14, size))
    senders.packets(size)(data)
    assert ring.read() == [data[:size]]


def test_discarded_records_are_left_out(senders: Any, numbers: RingBuffer) -> None:
    send, discard = senders.numbered(), senders.discarding(40)
    discard()
    assert not numbers.poll(0)
    for _ in range(5):
        send(3)
        discard()
    assert numbers.read() == list(range(15))


def test_many_laps_around_the_ring(senders: Any, numbers: RingBuffer) -> None:
    send = senders.numbered()
    expected = 0
    while expected * 24 < 5 * RING_SIZE:
        send(997)
        events = numbers.read()
        assert events == list(range(expected, expected + 997))
        expected += 997
    assert senders.refused == 0


def test_a_full_ring_refuses_and_what_it_took_is_read(senders: Any, numbers: RingBuffer) -> None:
    senders.numbered()(5000)
    assert senders.refused > 0
    assert numbers.pending == 24 * senders.sent
    assert (numbers.consumed, numbers.produced) == (0, 24 * senders.sent)
    assert numbers.read() == list(range(senders.sent))
    assert numbers.pending == 0
    assert numbers.consumed == numbers.produced == 24 * senders.sent


def test_reading_gives_room_back(senders: Any, numbers: RingBuffer) -> None:
    send = senders.numbered()
    send(5000)
    assert next(iter(numbers)) == 0
    refused = senders.refused
    send(1000)
    assert senders.refused == refused


def test_a_broken_off_loop_goes_on_where_it_stopped(senders: Any, numbers: RingBuffer) -> None:
    senders.numbered()(100)
    for number in numbers:
        if number == 41:
            break
    assert next(iter(numbers)) == 42
    assert numbers.read() == list(range(43, 100))


def test_two_loops_share_the_events(senders: Any, numbers: RingBuffer) -> None:
    senders.numbered()(6)
    pairs = zip(numbers.iterate(0), numbers.iterate(0), strict=True)
    assert list(pairs) == [(0, 1), (2, 3), (4, 5)]


def test_drain_calls_back_and_counts(senders: Any, numbers: RingBuffer) -> None:
    senders.numbered()(2000)
    seen: list[int] = []
    assert numbers.drain(seen.append) == 2000
    assert seen == list(range(2000))
    assert numbers.drain(seen.append) == 0


def test_a_failing_callback_loses_only_its_own_event(senders: Any, numbers: RingBuffer) -> None:
    senders.numbered()(10)

    def fail_at_three(number: int) -> None:
        if number == 3:
            raise RuntimeError("three")

    with pytest.raises(RuntimeError, match="three"):
        numbers.drain(fail_at_three)
    assert numbers.read() == [4, 5, 6, 7, 8, 9]


def test_drain_and_read_end_though_the_program_goes_on(senders: Any, numbers: RingBuffer) -> None:
    send = senders.numbered()
    send(10)
    assert numbers.drain(lambda number: send(1)) < 100
    assert len(numbers.read()) > 0


def test_a_record_that_the_codec_refuses(senders: Any, numbers: RingBuffer) -> None:
    send, short = senders.numbered(), senders.packets(8)
    send(2)
    short(b"short")
    send(1)
    assert numbers.read() == [0, 1]
    with pytest.raises(CodecError, match="8 bytes"):
        numbers.read()
    assert numbers.read() == [2]


def test_iteration_waits_for_what_comes(senders: Any, numbers: RingBuffer) -> None:
    send = senders.numbered()

    def later() -> None:
        for _ in range(5):
            time.sleep(0.02)
            send(2)

    with running(later):
        seen = []
        for number in numbers:
            seen.append(number)
            if number == 9:
                break
    assert seen == list(range(10))


@pytest.mark.alone
def test_iteration_with_a_timeout_ends(senders: Any, numbers: RingBuffer) -> None:
    senders.numbered()(3)
    start = time.monotonic()
    assert list(numbers.iterate(timeout=0.05)) == [0, 1, 2]
    assert 0.04 < time.monotonic() - start < 2


@pytest.mark.alone
def test_poll_says_whether_something_came(senders: Any, numbers: RingBuffer) -> None:
    send = senders.numbered()
    assert not numbers.poll(0)
    start = time.monotonic()
    assert not numbers.poll(0.05)
    assert time.monotonic() - start > 0.04

    def later() -> None:
        time.sleep(0.02)
        send(1)

    with running(later):
        assert numbers.poll(10)
    assert numbers.poll(0)
    assert numbers.read() == [0]


def test_the_descriptor_works_with_select(senders: Any, numbers: RingBuffer) -> None:
    assert select.select([numbers], [], [], 0)[0] == []
    senders.numbered()(1)
    assert select.select([numbers], [], [], 5)[0] == [numbers]
    assert numbers.read() == [0]
    assert select.select([numbers], [], [], 0)[0] == []


def test_async_for_gives_all_and_leaves_the_loop_to_others(
    senders: Any, numbers: RingBuffer
) -> None:
    send = senders.numbered()

    async def consume() -> list[int]:
        seen: list[int] = []
        async for number in numbers:
            seen.append(number)
            if len(seen) == 50:
                break
        return seen

    async def produce() -> None:
        for _ in range(10):
            await asyncio.sleep(0.005)
            send(5)

    async def both() -> list[int]:
        seen, _ = await asyncio.gather(consume(), produce())
        return seen

    assert asyncio.run(both()) == list(range(50))


def test_a_waiting_task_can_be_cancelled_and_another_goes_on(
    senders: Any, numbers: RingBuffer
) -> None:
    async def first() -> int:
        return await anext(aiter(numbers))

    async def scenario() -> int:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(first(), 0.02)
        senders.numbered()(1)
        return await asyncio.wait_for(first(), 5)

    assert asyncio.run(scenario()) == 0


def test_one_task_at_a_time_may_wait(numbers: RingBuffer) -> None:
    async def first() -> None:
        await anext(aiter(numbers))

    async def scenario() -> None:
        waiting = asyncio.create_task(first())
        await asyncio.sleep(0.01)
        with pytest.raises(RuntimeError, match="another task waits for ring buffer 'numbers'"):
            await first()
        numbers.close()
        with pytest.raises(ClosedError):
            await waiting

    asyncio.run(scenario())


def test_closing_ends_a_loop_over_it(senders: Any, numbers: RingBuffer) -> None:
    senders.numbered()(10)
    seen = []
    with pytest.raises(ClosedError, match="ring buffer 'numbers' is closed"):
        for number in numbers:
            seen.append(number)
            if number == 2:
                numbers.close()
    assert seen == [0, 1, 2]


def test_closing_wakes_a_thread_that_waits(numbers: RingBuffer) -> None:
    def later() -> None:
        time.sleep(0.05)
        numbers.close()

    with running(later), pytest.raises(ClosedError):
        next(iter(numbers))


def test_a_signal_handler_may_close(senders: Any, numbers: RingBuffer) -> None:
    with alarm_after(0.05, lambda *_: numbers.close()), pytest.raises(ClosedError):
        next(iter(numbers))


def test_a_signal_handler_may_close_a_busy_ring(senders: Any, numbers: RingBuffer) -> None:
    send = senders.numbered()

    def read_for_ever() -> None:
        while True:
            send(1)
            numbers.read()

    with alarm_after(0.05, lambda *_: numbers.close()), pytest.raises(ClosedError):
        read_for_ever()


def test_ctrl_c_ends_waiting_and_nothing_is_lost(senders: Any, numbers: RingBuffer) -> None:
    with (
        alarm_after(0.05, lambda *_: signal.raise_signal(signal.SIGINT)),
        pytest.raises(KeyboardInterrupt),
    ):
        next(iter(numbers))
    senders.numbered()(3)
    assert numbers.read() == [0, 1, 2]


def test_a_closed_ring_refuses(numbers: RingBuffer) -> None:
    numbers.close()
    numbers.close()
    assert numbers.closed
    for use in (
        numbers.read,
        numbers.fileno,
        numbers.to_numpy,
        lambda: numbers.poll(0),
        lambda: numbers.pending,
        lambda: next(iter(numbers)),
        numbers.__enter__,
    ):
        with pytest.raises(ClosedError):
            use()
    assert repr(numbers) == "<RingBuffer ring buffer 'numbers', closed>"


def test_the_owner_is_told_once_when_it_is_closed(senders: Any) -> None:
    closed: list[bool] = []
    with RingBuffer(senders.ring, RING_SIZE, close=lambda: closed.append(True)) as ring:
        assert closed == []
    ring.close()
    assert closed == [True]


def test_one_that_is_forgotten_warns(senders: Any) -> None:
    ring = RingBuffer(senders.ring, RING_SIZE)
    with pytest.warns(ResourceWarning, match="ring buffer was never closed"):
        del ring


def test_what_is_no_ring_buffer_is_an_error() -> None:
    with socket.socket() as other, pytest.raises(KernelError, match="map the ring buffer's"):
        RingBuffer(other.fileno(), RING_SIZE)


def test_a_reader_goes_on_where_the_one_before_it_stopped(senders: Any) -> None:
    send = senders.numbered()
    for expected in range(3):
        with RingBuffer.from_fd(senders.ring, RING_SIZE, Number()) as ring:
            send(1)
            assert ring.read() == [expected]


def test_records_that_come_while_others_are_read(senders: Any, numbers: RingBuffer) -> None:
    """A producer on another CPU, hundreds of laps: nothing torn, nothing twice, in order."""
    send = senders.numbered()
    done = threading.Event()

    def produce() -> None:
        for _ in range(60):
            send(10_000)
        done.set()

    count, previous = 0, -1
    with running(produce):
        while True:
            finished = done.is_set()
            for number in numbers.iterate(timeout=0):
                assert number > previous
                previous = number
                count += 1
            if finished:
                break
    assert count == senders.sent


def test_numpy_gives_all_records(senders: Any, numbers: RingBuffer) -> None:
    send = senders.numbered()
    expected = 0
    for count in (1, 5, 31, 32, 33, 1000, 2000, 2500, 2500, 2500):
        send(count)
        array = numbers.to_numpy()
        assert array.dtype == Number().dtype()
        assert array["number"].tolist() == list(range(expected, expected + count))
        assert (array["number"] ^ array["complement"] == (1 << 64) - 1).all()
        expected += count
    assert len(numbers.to_numpy()) == 0


def test_numpy_begins_with_what_a_loop_left(senders: Any, numbers: RingBuffer) -> None:
    senders.numbered()(100)
    assert next(iter(numbers)) == 0
    assert numbers.to_numpy()["number"].tolist() == list(range(1, 100))


def test_numpy_leaves_out_what_was_discarded(senders: Any, numbers: RingBuffer) -> None:
    send, discard = senders.numbered(), senders.discarding(16)
    for _ in range(20):
        send(7)
        discard()
    send(500)
    discard()
    assert numbers.to_numpy()["number"].tolist() == list(range(640))


@pytest.mark.parametrize("before", [1, 100])
def test_numpy_ends_before_a_record_of_another_size(
    senders: Any, numbers: RingBuffer, before: int
) -> None:
    send, long = senders.numbered(), senders.packets(24)
    send(before)
    long(bytes(24))
    send(100)
    assert len(numbers.to_numpy()) == before
    with pytest.raises(ValueError, match="a record of 24 bytes, not the dtype's 16"):
        numbers.to_numpy()
    assert len(numbers.to_numpy("V24")) == 1
    assert numbers.to_numpy()["number"].tolist() == list(range(before, before + 100))


def test_numpy_of_a_size_that_is_no_multiple_of_eight(senders: Any, ring: RingBuffer) -> None:
    send = senders.packets(21)
    packets = [os.urandom(21) for _ in range(200)]
    for packet in packets:
        send(packet)
    dtype = numpy.dtype([("first", "u1"), ("rest", "u4", 5)])
    array = ring.to_numpy(dtype)
    assert array.tobytes() == b"".join(packets)
    assert array[7]["rest"][4] == struct.unpack_from("=I", packets[7], 17)[0]


def test_numpy_arrays_are_copies(senders: Any, numbers: RingBuffer) -> None:
    send = senders.numbered()
    send(2000)
    first = numbers.to_numpy()
    for _ in range(5):
        send(2000)
        numbers.read()
    assert first["number"].tolist() == list(range(2000))
    first["number"] = 0


def test_numpy_needs_a_dtype(ring: RingBuffer) -> None:
    with pytest.raises(TypeError, match="without a codec"):
        ring.to_numpy()


def test_numpy_while_records_come(senders: Any, numbers: RingBuffer) -> None:
    send = senders.numbered()
    done = threading.Event()

    def produce() -> None:
        for _ in range(60):
            send(10_000)
        done.set()

    count, previous = 0, -1
    with running(produce):
        while True:
            finished = done.is_set()
            array = numbers.to_numpy()
            if len(array):
                values = array["number"]
                assert int(values[0]) > previous
                assert (values[1:] > values[:-1]).all()
                assert (values ^ array["complement"] == (1 << 64) - 1).all()
                previous = int(values[-1])
                count += len(array)
            elif finished:
                break
    assert count == senders.sent


def test_a_task_of_a_closed_loop_bars_nobody() -> None:
    """A loop that is closed while its task waits takes nothing off; the next one goes on."""
    import asyncio

    with osmia.Map.create(osmia.MapType.RINGBUF, max_entries=mmap.PAGESIZE) as ring:
        source = ring.events

        async def wait() -> None:
            async for _ in source:
                pass

        first = asyncio.new_event_loop()
        task = first.create_task(wait())
        first.run_until_complete(asyncio.sleep(0.01))
        first.close()

        async def again() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wait(), 0.05)

        asyncio.run(again())
        task.get_coro().close()
        task._log_destroy_pending = False  # type: ignore[attr-defined]
