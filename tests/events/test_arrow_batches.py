"""Streams of tables: how long they wait, how they end, and that no record is lost on the way."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from osmia.errors import ClosedError
from osmia.events import RingBuffer
from osmia.events.record_types import PresumedCodec
from osmia.values import IntCodec, StructCodec
from osmia.values.fields import Field

RING_SIZE = 64 * 1024
_U64 = IntCodec(8, False, "u64", "little")
NUMBERED = StructCodec(
    [Field("number", _U64, 0), Field("complement", _U64, 8)], 16, "struct numbered", "little"
)


@pytest.fixture
def numbers(senders: Any) -> Iterator[RingBuffer]:
    with RingBuffer(senders.ring, RING_SIZE, codec=NUMBERED, name="numbers") as ring:
        yield ring


def found(table: Any) -> list[int]:
    numbers: list[int] = table.to_columns()["number"].tolist()
    return numbers


def later(seconds: float, action: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


@pytest.mark.kernel
def test_a_table_is_given_when_the_first_record_has_waited_long_enough(
    numbers: RingBuffer, senders: Any
) -> None:
    send = senders.numbered()
    timer = later(0.05, lambda: send(2))
    start = time.monotonic()
    assert found(next(numbers.arrow_batches(max_delay=0.2))) == [0, 1]
    assert 0.2 <= time.monotonic() - start < 5
    timer.join()


@pytest.mark.kernel
def test_records_that_come_meanwhile_are_in_the_same_table(
    numbers: RingBuffer, senders: Any
) -> None:
    send = senders.numbered()
    send(1)
    timers = [later(delay, lambda: send(1)) for delay in (0.05, 0.1)]
    assert found(next(numbers.arrow_batches(max_rows=3, max_delay=None))) == [0, 1, 2]
    for timer in timers:
        timer.join()


@pytest.mark.kernel
def test_a_stream_ends_when_nothing_came_for_so_long(numbers: RingBuffer, senders: Any) -> None:
    senders.numbered()(3)
    start = time.monotonic()
    tables = list(numbers.arrow_batches(max_delay=None, timeout=0.1))
    assert [found(table) for table in tables] == [[0, 1, 2]]
    assert 0.1 <= time.monotonic() - start < 5


@pytest.mark.kernel
def test_records_sent_without_waking_are_seen_in_time(senders: Any) -> None:
    quiet = senders.program(
        "*(u64 *)(r10 -8) = 7\nr1 = map[fd:{ring}]\nr2 = r10\nr2 += -8\nr3 = 8\nr4 = 1\n"
        "call bpf_ringbuf_output\nr0 = 0\nexit"
    )
    with RingBuffer(senders.ring, RING_SIZE, codec=_U64) as ring:
        timer = later(0.05, lambda: quiet.run(bytes(64)))
        assert len(next(ring.arrow_batches(max_delay=0.1))) == 1
        timer.join()


@pytest.mark.kernel
def test_a_full_buffer_is_what_holds_programs_back(numbers: RingBuffer, senders: Any) -> None:
    send, room = senders.numbered(), RING_SIZE // 24
    send(room)
    tables = numbers.arrow_batches(max_rows=100, timeout=0)
    assert len(next(tables)) == 100
    send(room)
    assert senders.sent == room + 100  # the others found no room, and were told
    assert sum(map(len, tables)) == room


@pytest.mark.kernel
def test_closing_from_another_thread_ends_the_stream_after_what_was_taken(
    numbers: RingBuffer, senders: Any
) -> None:
    senders.numbered()(3)
    timer = later(0.1, numbers.close)
    tables = list(numbers.arrow_batches(max_delay=None))
    timer.join()
    assert [found(table) for table in tables] == [[0, 1, 2]]
    with pytest.raises(ClosedError):
        numbers.arrow_batches()


@pytest.mark.kernel
def test_a_signal_handler_may_close(numbers: RingBuffer, senders: Any) -> None:
    senders.numbered()(3)
    before = signal.signal(signal.SIGALRM, lambda *_: numbers.close())
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        assert [found(table) for table in numbers.arrow_batches(max_delay=None)] == [[0, 1, 2]]
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.kernel
def test_ctrl_c_loses_nothing(numbers: RingBuffer, senders: Any) -> None:
    send = senders.numbered()
    send(3)
    tables = numbers.arrow_batches(max_delay=None)
    timer = later(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        next(tables)
    timer.join()
    send(2)
    assert found(tables.flush()) == [0, 1, 2, 3, 4]
    assert len(tables.flush()) == 0


@pytest.mark.kernel
def test_a_task_that_is_cancelled_loses_nothing(numbers: RingBuffer, senders: Any) -> None:
    send = senders.numbered()
    send(3)
    tables = numbers.arrow_batches(max_delay=None)

    async def cancelled() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await anext(tables)

    asyncio.run(cancelled())
    send(1)
    assert found(tables.flush()) == [0, 1, 2, 3]


@pytest.mark.kernel
def test_closing_ends_async_for(numbers: RingBuffer, senders: Any) -> None:
    senders.numbered()(3)

    async def gather() -> list[list[int]]:
        asyncio.get_running_loop().call_later(0.1, numbers.close)
        return [found(table) async for table in numbers.arrow_batches(max_delay=None)]

    assert asyncio.run(gather()) == [[0, 1, 2]]


@pytest.mark.kernel
def test_others_run_while_async_for_waits_and_works(numbers: RingBuffer, senders: Any) -> None:
    send = senders.numbered()
    send(100)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def both() -> int:
        other = asyncio.create_task(count())
        tables = [table async for table in numbers.arrow_batches(max_rows=10, timeout=0)]
        other.cancel()
        return len(tables)

    assert asyncio.run(both()) == 10
    assert turns >= 10


def test_a_record_of_another_size_is_told_after_those_before_it(memory_ring: Any) -> None:
    producer = memory_ring(4096)
    for number in (1, 2):
        producer.send(struct.pack("<QQ", number, 0))
    producer.send(b"short")
    producer.send(struct.pack("<QQ", 3, 0))
    with producer.reader(codec=PresumedCodec(NUMBERED)) as ring:
        tables = ring.arrow_batches()
        assert found(next(tables)) == [1, 2]
        with pytest.raises(ValueError, match="a record of 5 bytes, not the dtype's 16"):
            next(tables)
        assert ring.read()[0] == b"short"
        producer.send(struct.pack("<QQ", 4, 0))
        assert [found(table) for table in ring.arrow_batches()] == [[4]]


def test_discarded_records_are_left_out(memory_ring: Any) -> None:
    producer = memory_ring(4096)
    for number in range(100):
        discarded = 1 << 30 if number % 3 else 0
        producer.send(struct.pack("<QQ", number, 0), discarded)
    with producer.reader(codec=NUMBERED) as ring:
        tables = [found(table) for table in ring.arrow_batches(max_rows=10)]
    assert [len(table) for table in tables] == [10, 10, 10, 4]
    assert [number for table in tables for number in table] == list(range(0, 100, 3))
