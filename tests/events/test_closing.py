"""A source may be closed between any two steps of its reader, as a signal handler does it."""

from __future__ import annotations

import asyncio
import itertools
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from osmia.errors import ClosedError
from osmia.events.ring_buffer import RingBuffer
from osmia.events.user_ring_buffer import UserRingBuffer

SIZE = 4096
RECORD = struct.pack("<IIQ", 8, 0, 7)


def ring_memory(records: int) -> tuple[memoryview, memoryview, memoryview]:
    data = bytearray(2 * SIZE)
    data[: len(RECORD) * records] = RECORD * records
    producer = bytearray(8)
    producer[:] = struct.pack("<Q", len(RECORD) * records)
    return memoryview(bytearray(8)), memoryview(producer), memoryview(data)


def ring_buffer(records: int, fd: int = -1) -> RingBuffer:
    return RingBuffer.from_memory(*ring_memory(records), SIZE, fd=fd)


@contextmanager
def called_at_step(count: int, handler: Callable[[], object]) -> Iterator[list[bool]]:
    """Call `handler` before the `count`-th bytecode that runs in osmia; says whether it was."""
    left = count
    called: list[bool] = []

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if "osmia/events" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            left -= 1
            if left == 0:
                sys.settrace(None)
                called.append(True)
                handler()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield called
    finally:
        sys.settrace(before)


def outcomes(
    make: Callable[[], Any], use: Callable[[Any], object]
) -> Iterator[tuple[object, float]]:
    """What each use gave that was interrupted by a close, one step later each time, and how
    many seconds after it."""
    for step in itertools.count(1):
        source = make()
        closed_at = 0.0
        late = False  # somebody else closed it already

        def close(source: Any = source) -> None:
            nonlocal closed_at, late
            late = source.closed
            source.close()
            closed_at = time.monotonic()

        with called_at_step(step, close) as called:
            try:
                answer: object = use(source)
            except ClosedError as error:
                answer = error
        if not called or late:
            source.close()
            return
        assert source.closed
        yield answer, time.monotonic() - closed_at


@pytest.mark.parametrize("records", [0, 2, 40])
@pytest.mark.parametrize(
    "use",
    [
        lambda ring: ring.read(),
        lambda ring: ring.drain(lambda event: None),
        lambda ring: ring.pending,
        lambda ring: ring.produced,
        lambda ring: ring.consumed,
        lambda ring: ring.fileno(),
        lambda ring: len(ring.to_numpy("u8")),
        lambda ring: list(ring.iterate(0)),
        lambda ring: ring.close(),
    ],
    ids=["read", "drain", "pending", "produced", "consumed", "fileno", "numpy", "iterate", "close"],
)
def test_a_ring_closed_at_any_step_says_so_or_answers(
    records: int, use: Callable[[RingBuffer], object]
) -> None:
    assert len(list(outcomes(lambda: ring_buffer(records), use))) > 5


async def first(ring: RingBuffer) -> object:
    return await anext(aiter(ring))


@pytest.mark.parametrize(
    "wait",
    [lambda ring: ring.poll(), lambda ring: asyncio.run(first(ring))],
    ids=["thread", "task"],
)
def test_whoever_waits_is_woken_at_whatever_step_it_is_closed(
    wait: Callable[[RingBuffer], object],
) -> None:
    fd = os.eventfd(0)
    steps = 0

    def make() -> RingBuffer:
        ring = ring_buffer(0, fd)
        late.append(threading.Timer(3, ring.close))  # what ends the last one, in the wait itself
        late[-1].start()
        return ring

    late: list[threading.Timer] = []
    try:
        for answer, seconds in outcomes(make, wait):
            late.pop().cancel()
            assert isinstance(answer, ClosedError)
            assert seconds < 2
            steps += 1
    finally:
        for timer in late:
            timer.cancel()
            timer.join()
        os.close(fd)
    assert steps > 20


@pytest.mark.parametrize("use", [lambda ring: ring.send(b"12345678"), lambda ring: ring.pending])
def test_a_user_ring_closed_at_any_step_says_so_or_answers(
    use: Callable[[UserRingBuffer], object],
) -> None:
    def make() -> UserRingBuffer:
        return UserRingBuffer.from_memory(*ring_memory(0), SIZE)

    assert len(list(outcomes(make, use))) > 5
