"""PerfBuffer on real perf events: samples of every CPU, what was lost, one descriptor."""

from __future__ import annotations

import asyncio
import mmap
import os
import select
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy
import pytest

from osmia.errors import ClosedError, KernelError, OsmiaError
from osmia.events import PerfBuffer
from osmia.events.perf_buffer import _samples

pytestmark = pytest.mark.kernel

CPUS = sorted(os.sched_getaffinity(0))
NUMBERED = struct.Struct("=QQ")

OpenPerf = Callable[..., PerfBuffer]


class Number:
    """A codec for what the numbered senders send: checks the complement, gives the number."""

    size = 16

    def decode(self, buffer: bytes, offset: int = 0) -> int:
        number, complement = NUMBERED.unpack_from(buffer, offset)
        assert number ^ complement == (1 << 64) - 1
        return int(number)

    def dtype(self) -> numpy.dtype[Any]:
        return numpy.dtype([("number", "u8"), ("complement", "u8")])


def test_samples_come_with_their_cpu(perf_senders: Any, open_perf: OpenPerf) -> None:
    send = perf_senders.samples()
    buffer = open_perf(codec=Number())
    for cpu in CPUS:
        send(3, cpu)
    expected = [(cpu, 3 * index + i) for index, cpu in enumerate(CPUS) for i in range(3)]
    assert sorted(buffer.read()) == sorted(expected)
    assert buffer.read() == []


def test_samples_are_bytes_without_a_codec(perf_senders: Any, open_perf: OpenPerf) -> None:
    send = perf_senders.samples(9)
    buffer = open_perf()
    send(1)
    ((cpu, data),) = buffer.read()
    assert cpu == 0
    # The kernel pads: 4 bytes of length and the data are a multiple of 8 together.
    assert data[:9] == NUMBERED.pack(0, (1 << 64) - 1)[:9]
    assert len(data) == 12


def test_records_that_wrap_are_whole(perf_senders: Any, open_perf: OpenPerf) -> None:
    send = perf_senders.samples()
    buffer = open_perf(pages=1, codec=Number())
    assert buffer.size == mmap.PAGESIZE
    expected = 0
    for _ in range(20):
        send(77)
        assert [number for _, number in buffer.read()] == list(range(expected, expected + 77))
        expected += 77


def test_what_was_lost_is_counted(perf_senders: Any, open_perf: OpenPerf) -> None:
    send = perf_senders.samples()
    buffer = open_perf(pages=1, codec=Number())
    send(1000)
    kept = len(buffer.read())
    assert 0 < kept < 1000
    send(1)  # the kernel reports a loss with the next sample that fits
    assert [number for _, number in buffer.read()] == [1000]
    assert buffer.lost == 1000 - kept
    assert buffer.lost_by_cpu[0] == buffer.lost


def test_pending_counts_bytes_of_all_cpus(perf_senders: Any, open_perf: OpenPerf) -> None:
    send = perf_senders.samples()
    buffer = open_perf()
    assert buffer.pending == 0
    for cpu in CPUS:
        send(1, cpu)
    assert buffer.pending == len(CPUS) * 32
    assert len(buffer.read()) == len(CPUS)
    assert buffer.pending == 0


def test_iteration_waits_for_any_cpu(perf_senders: Any, open_perf: OpenPerf) -> None:
    send = perf_senders.samples()
    buffer = open_perf(codec=Number())

    def later() -> None:
        for cpu in CPUS:
            time.sleep(0.02)
            send(1, cpu)

    thread = threading.Thread(target=later)
    thread.start()
    try:
        seen = [event for _, event in zip(CPUS, buffer, strict=False)]
    finally:
        thread.join()
    assert seen == [(cpu, index) for index, cpu in enumerate(CPUS)]
    assert list(buffer.iterate(timeout=0.01)) == []


def test_the_descriptor_works_with_select(perf_senders: Any, open_perf: OpenPerf) -> None:
    send = perf_senders.samples()
    buffer = open_perf(codec=Number())
    assert select.select([buffer], [], [], 0)[0] == []
    send(1, CPUS[-1])
    assert select.select([buffer], [], [], 5)[0] == [buffer]
    assert buffer.drain(lambda event: None) == 1
    assert select.select([buffer], [], [], 0)[0] == []


def test_async_for(perf_senders: Any, open_perf: OpenPerf) -> None:
    send = perf_senders.samples()
    buffer = open_perf(codec=Number())

    async def first() -> tuple[int, int]:
        return await anext(aiter(buffer))

    async def scenario() -> tuple[int, int]:
        task = asyncio.create_task(first())
        await asyncio.sleep(0.01)
        send(1)
        return await asyncio.wait_for(task, 5)

    assert asyncio.run(scenario()) == (0, 0)


def test_numpy_gives_cpus_and_records(perf_senders: Any, open_perf: OpenPerf) -> None:
    send = perf_senders.samples()
    buffer = open_perf(codec=Number())
    for cpu in CPUS:
        send(10, cpu)
    first = next(iter(buffer))
    cpus, records = buffer.to_numpy()
    assert len(cpus) == len(records) == 10 * len(CPUS) - 1
    rest = list(zip(cpus.tolist(), records["number"].tolist(), strict=True))
    expected = [(cpu, 10 * index + i) for index, cpu in enumerate(CPUS) for i in range(10)]
    assert sorted([first, *rest]) == sorted(expected)
    cpus, records = buffer.to_numpy()
    assert (len(cpus), len(records)) == (0, 0)


def test_numpy_ends_before_a_sample_that_is_shorter(perf_senders: Any, open_perf: OpenPerf) -> None:
    long, short = perf_senders.samples(), perf_senders.samples(4)
    buffer = open_perf()
    long(2)
    short(1)
    long(1)
    assert buffer.to_numpy(Number().dtype())[1]["number"].tolist() == [0, 1]
    with pytest.raises(ValueError, match="a sample of 4 bytes, less than the dtype's 16"):
        buffer.to_numpy(Number().dtype())
    assert [len(data) for _, data in buffer.read()] == [4, 20]


def test_a_closed_buffer_refuses(open_perf: OpenPerf) -> None:
    told: list[bool] = []
    buffer = open_perf(close=lambda: told.append(True))
    buffer.close()
    buffer.close()
    assert told == [True]
    for use in (buffer.read, buffer.fileno, buffer.to_numpy, lambda: next(iter(buffer))):
        with pytest.raises(ClosedError):
            use()


def test_closing_wakes_a_thread_that_waits(open_perf: OpenPerf) -> None:
    buffer = open_perf()
    thread = threading.Timer(0.05, buffer.close)
    thread.start()
    try:
        with pytest.raises(ClosedError):
            next(iter(buffer))
    finally:
        thread.join()


def in_child(action: Callable[[], object]) -> int:
    """The status of a child made by fork that does something: 0, or what ended it."""
    child = os.fork()
    if not child:
        status = 1
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_child_made_by_fork_gets_an_error_and_leaves_the_parents_alone(
    perf_senders: Any, open_perf: OpenPerf
) -> None:
    send = perf_senders.samples()
    buffer = open_perf(codec=Number())

    def read() -> None:
        for use in (buffer.read, lambda: buffer.pending, buffer.fileno, lambda: buffer.poll(0)):
            with pytest.raises(OsmiaError, match="made in another process"):
                use()

    assert in_child(read) == 0
    assert in_child(buffer.close) == 0
    assert in_child(lambda: buffer.lost) == 0
    send(2, CPUS[0])
    assert len(buffer.read()) == 2


@pytest.mark.parametrize("pages", [0, -1, 3])
def test_pages_are_a_power_of_two(pages: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        PerfBuffer({}, pages=pages)


def test_what_is_no_perf_event_is_an_error() -> None:
    reader, writer = os.pipe()
    try:
        with pytest.raises(KernelError, match="map the perf buffer of CPU 0"):
            PerfBuffer({0: reader})
    finally:
        os.close(reader)
        os.close(writer)


def _record(kind: int, payload: bytes, size: int | None = None) -> bytes:
    return struct.pack("=IHH", kind, 0, 8 + len(payload) if size is None else size) + payload


def test_records_of_other_kinds_are_passed_over() -> None:
    block = (
        _record(9, struct.pack("=I", 4) + b"data")
        + _record(5, bytes(8))
        + _record(2, struct.pack("=QQ", 1, 7) + bytes(16))
        + _record(9, struct.pack("=I", 12) + b"more of data")
    )
    samples = _samples(0, block)
    assert (list(samples.samples), samples.lost) == ([b"data", b"more of data"], 7)


@pytest.mark.parametrize(
    "block",
    [
        bytes(4),
        _record(9, bytes(8), size=0),
        _record(9, bytes(8), size=64),
        _record(9, struct.pack("=I", 100) + bytes(4)),
        _record(2, bytes(8)),
    ],
)
def test_inconsistent_records_are_an_error(block: bytes) -> None:
    with pytest.raises(OsmiaError, match="the perf buffer of CPU 3 is corrupt"):
        _samples(3, block)
