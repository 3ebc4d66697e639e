"""Event drain: records of 16 bytes that are in the buffer already, taken out in several ways.

Run it as root: `.venv/bin/python bench/bench_events.py [RING_MIB]` (16 by default, a power
of two). Prints million records a second and ns a record, the best of several rounds. The
aims: 1.5 M/s one by one with typed access, 200 M/s into numpy.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

from osmia.events import PerfBuffer, RingBuffer
from osmia.isa import assemble
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import perf_events, syscall
from osmia.kernel.sys.attributes import PerfEventAttr
from osmia.object.uapi import MapType, ProgramType
from osmia.values import IntCodec, StructCodec
from osmia.values.fields import Field

ROUNDS = 7
PERF_PAGES = 1024

_U64, _U32 = (IntCodec(size, False, f"u{8 * size}", "little") for size in (8, 4))
EVENT = StructCodec(
    [Field("time", _U64, 0), Field("pid", _U32, 8), Field("bytes", _U32, 12)],
    16,
    "struct event",
    "little",
)

_FILL = """
        r6 = r1
        call bpf_ktime_get_ns
        *(u64 *)(r10 -16) = r0
        r1 = 0x5dc000004d2 ll       ; pid 1234, bytes 1500
        *(u64 *)(r10 -8) = r1
"""
_TO_RING = """
        r1 = map[fd:{map}]
        r2 = r10
        r2 += -16
        r3 = {size}
        r4 = 1                      ; BPF_RB_NO_WAKEUP
        call bpf_ringbuf_output
"""
_TO_PERF = """
        r1 = r6
        r2 = map[fd:{map}]
        w3 = -1
        r4 = r10
        r4 += -16
        r5 = 16
        call bpf_perf_event_output
"""
_EXIT = "r0 = 0\nexit\n"


def _load(text: str, **values: int) -> KernelProgram:
    return KernelProgram.load(
        ProgramType.XDP, assemble(text.format(**values)), license="GPL", name="bench"
    )


def _best(fill: Callable[[], object], drain: Callable[[], int]) -> tuple[float, int]:
    """Seconds a record in the best round, and how many records a round had."""
    best, count = float("inf"), 0
    for _ in range(ROUNDS):
        fill()
        start = time.perf_counter()
        count = drain()
        best = min(best, (time.perf_counter() - start) / count)
    return best, count


def _print(what: str, result: tuple[float, int]) -> None:
    seconds, count = result
    print(f"{what:<52}{1e-6 / seconds:>10.2f}{seconds * 1e9:>10.1f}{count:>10}")


def _one_by_one(source: RingBuffer | PerfBuffer) -> int:
    count = 0
    for _ in source.iterate(timeout=0):
        count += 1
    return count


def _with_access(source: RingBuffer) -> int:
    count = 0
    for event in source.iterate(timeout=0):
        count += 1
        event.time, event.pid, event.bytes  # noqa: B018
    return count


def _summed(source: RingBuffer) -> int:
    array = source.to_numpy()
    array["bytes"].sum()
    return len(array)


@contextmanager
def ring_filler(fd: int, count: int) -> Iterator[Callable[[], object]]:
    """A function that puts `count` records of 16 bytes into the ring buffer map `fd`."""
    with _load(_FILL + _TO_RING + _EXIT, map=fd, size=16) as program:
        yield lambda: program.run(bytes(64), repeat=count)


_WAYS: list[tuple[str, StructCodec | None, Callable[[RingBuffer], int]]] = [
    ("for, typed, three fields read", EVENT, _with_access),
    ("for, typed", EVENT, _one_by_one),
    ("for, bytes", None, _one_by_one),
    ("callback, typed, one field read", EVENT, lambda ring: ring.drain(attrgetter("bytes"))),
    ("read() into a list, typed", EVENT, lambda ring: len(ring.read())),
    ("to_numpy()", EVENT, lambda ring: len(ring.to_numpy())),
    ("to_numpy(), one field summed", EVENT, _summed),
]


def bench_ring(size: int) -> None:
    """A row for each way to drain a ring buffer."""
    fd = syscall.map_create(MapType.RINGBUF, key_size=0, value_size=0, max_entries=size)
    count = size // 24
    with (
        ring_filler(fd, count) as fill,
        _load(_FILL + _TO_RING + _EXIT, map=fd, size=16) as program,
        _load(_FILL + _TO_RING * 2 + _EXIT, map=fd, size=12) as two_sizes,
    ):
        for what, codec, drain in _WAYS:
            with RingBuffer(fd, size, codec=codec) as ring:
                _print(f"ring buffer: {what}", _best(fill, lambda: drain(ring)))  # noqa: B023
        with RingBuffer(fd, size) as ring:

            def mixed() -> None:
                for _ in range(1000):
                    program.run(bytes(64))
                    two_sizes.run(bytes(64))

            _print("ring buffer: for, bytes, sizes mixed", _best(mixed, lambda: _one_by_one(ring)))
    os.close(fd)


def bench_perf() -> None:
    """Rows for a perf buffer of one CPU."""
    os.sched_setaffinity(0, {0})
    fd = syscall.map_create(MapType.PERF_EVENT_ARRAY, key_size=4, value_size=4, max_entries=1)
    software, bpf_output, raw = 1, 10, 1 << 10
    attribute = PerfEventAttr(
        type=software, config=bpf_output, sample_type=raw, sample_period=1, wakeup_events=1
    )
    event = perf_events.perf_event_open(attribute, cpu=0)
    ways: list[tuple[str, Any]] = [
        ("for, typed", _one_by_one),
        ("to_numpy()", lambda buffer: len(buffer.to_numpy()[0])),
    ]
    with (
        _load(_FILL + _TO_PERF + _EXIT, map=fd) as program,
        PerfBuffer({0: event}, pages=PERF_PAGES, codec=EVENT) as buffer,
    ):
        syscall.map_element(
            syscall.Command.MAP_UPDATE_ELEM,
            fd,
            key=bytes(4),
            value=event.to_bytes(4, sys.byteorder),
        )
        count = buffer.size // 32 - 1
        for what, drain in ways:
            fill = lambda: program.run(bytes(64), repeat=count)  # noqa: E731
            _print(f"perf buffer: {what}", _best(fill, lambda: drain(buffer)))  # noqa: B023
    os.close(event)
    os.close(fd)


def main() -> None:
    size = int(sys.argv[1] if len(sys.argv) > 1 else 16) << 20
    print(f"{'16-byte records':<52}{'M/s':>10}{'ns':>10}{'a round':>10}")
    bench_ring(size)
    bench_perf()


if __name__ == "__main__":
    main()
