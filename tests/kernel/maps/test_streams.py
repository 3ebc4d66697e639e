"""Events from real programs through ring buffers and perf event arrays."""

from __future__ import annotations

import asyncio
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from osmia.engine.maps import EventMap, PerfEventArray, RingBufferMap
from osmia.errors import ClosedError
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys.cpus import online_cpus
from osmia.object.uapi import MapType, ProgramType
from osmia.values import plain_codec

pytestmark = pytest.mark.kernel
MakeMap = Callable[..., Any]

RINGBUF_OUTPUT, PERF_EVENT_OUTPUT = 130, 25


def instruction(opcode: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> bytes:
    return struct.pack("=BBhi", opcode, src << 4 | dst, offset, imm)


def load_map(register: int, fd: int) -> bytes:
    return instruction(0x18, register, 1, imm=fd) + instruction(0)


#: *(u64 *)(r10 - 8) = 41 + 1
STORE_EVENT = instruction(0x7A, 10, offset=-8, imm=42)
RETURN_0 = instruction(0xB7, 0, imm=0) + instruction(0x95)


def ringbuf_code(fd: int) -> bytes:
    """bpf_ringbuf_output(map, &event, 8, 0)"""
    return (
        STORE_EVENT
        + load_map(1, fd)
        + instruction(0xBF, 2, 10)
        + instruction(0x07, 2, imm=-8)
        + instruction(0xB7, 3, imm=8)
        + instruction(0xB7, 4, imm=0)
        + instruction(0x85, imm=RINGBUF_OUTPUT)
        + RETURN_0
    )


def perf_code(fd: int) -> bytes:
    """bpf_perf_event_output(ctx, map, BPF_F_CURRENT_CPU, &event, 8)"""
    return (
        STORE_EVENT
        + load_map(2, fd)
        + instruction(0xB4, 3, imm=-1)
        + instruction(0xBF, 4, 10)
        + instruction(0x07, 4, imm=-8)
        + instruction(0xB7, 5, imm=8)
        + instruction(0x85, imm=PERF_EVENT_OUTPUT)
        + RETURN_0
    )


@contextmanager
def sender(events: EventMap) -> Iterator[Callable[[int], object]]:
    """send(n): a program sends n events of eight bytes, the number 42."""
    make = ringbuf_code if isinstance(events, RingBufferMap) else perf_code
    with KernelProgram.load(
        ProgramType.SCHED_CLS, make(events.fileno()), license="GPL", name="sender"
    ) as program:
        yield lambda count: program.run(bytes(64), repeat=count)


@pytest.fixture
def ring(make_map: MakeMap) -> RingBufferMap:
    made = make_map(MapType.RINGBUF, key_size=0, value_size=0, max_entries=65536, name="ring")
    assert isinstance(made, RingBufferMap)
    return made


@pytest.fixture
def perf(make_map: MakeMap) -> PerfEventArray:
    made = make_map(MapType.PERF_EVENT_ARRAY, value_size=4, max_entries=0, name="perf")
    assert isinstance(made, PerfEventArray)
    return made


def test_ring_buffer_events_come_in_order(ring: RingBufferMap) -> None:
    ring.event_codec = plain_codec(8)
    with sender(ring) as send:
        assert ring.read() == []
        send(3)
        assert ring.poll(1)
        assert ring.read() == [42, 42, 42]
        send(2)
        assert list(ring.iterate(timeout=0)) == [42, 42]
        send(1)
        assert ring.drain(lambda event: None) == 1


def test_events_without_a_type_are_bytes(ring: RingBufferMap) -> None:
    with sender(ring) as send:
        send(1)
        assert next(iter(ring)) == (42).to_bytes(8, sys.byteorder)


def test_ring_buffers_can_be_awaited(ring: RingBufferMap) -> None:
    ring.event_codec = plain_codec(8)

    async def first(send: Callable[[int], object]) -> int:
        send(1)
        async for event in ring:
            return int(event)
        return -1

    with sender(ring) as send:
        assert asyncio.run(first(send)) == 42


def test_ring_buffer_events_become_an_array(ring: RingBufferMap) -> None:
    with sender(ring) as send:
        send(1000)
        assert ring.to_numpy("u8").tolist() == [42] * 1000


def test_perf_events_come_with_their_cpu(perf: PerfEventArray) -> None:
    with sender(perf) as send:
        reader = perf.events  # events before this are lost
        send(3)
        assert perf.poll(1)
        events = perf.read()
        assert len(events) == 3
        for cpu, event in events:
            assert cpu in online_cpus()
            assert event[:8] == (42).to_bytes(8, sys.byteorder)
        assert perf.lost == 0
        assert reader is perf.events


def test_lost_perf_events_are_counted(perf: PerfEventArray) -> None:
    perf.pages = 1
    with sender(perf) as send:
        perf.read()
        send(4096)
        read = len(perf.read())
        send(1)  # a lost record is written when there is room again
        read += len(perf.read())
        assert 0 < read < 4097
        assert perf.lost == 4097 - read


def test_closing_the_map_closes_its_reader(ring: RingBufferMap, perf: PerfEventArray) -> None:
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    for events in (ring, perf):
        reader = events.events
        events.close()
        assert reader.closed
        with pytest.raises(ClosedError):
            events.read()
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before - 2


def test_a_reader_that_was_closed_is_opened_anew(perf: PerfEventArray) -> None:
    first = perf.events
    first.close()
    with sender(perf) as send:
        assert perf.read() == []
        send(1)
        assert len(perf.read()) == 1
