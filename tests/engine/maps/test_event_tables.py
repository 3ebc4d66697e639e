"""Events as tables: what is there now, and streams in batches, on every engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import osmia

SOURCE = Path(__file__).with_name("tables.bpf.c")
PACKET = bytes(64)


@pytest.fixture(scope="module")
def compiled() -> osmia.Object:
    return osmia.compile(SOURCE)


@pytest.fixture(params=[pytest.param("kernel", marks=pytest.mark.kernel), "vm"])
def bpf(compiled: osmia.Object, request: pytest.FixtureRequest) -> Iterator[Any]:
    with compiled.load(engine=request.param) as loaded:
        samples: Any = loaded.maps["samples"]
        samples.event_codec = compiled.codec("event")
        yield loaded


@pytest.fixture(params=["events", "samples"])
def events(bpf: Any, request: pytest.FixtureRequest) -> Any:
    source = bpf.maps[request.param]
    assert not source.events.closed  # a perf buffer has a reader before something is sent
    return source


def send(bpf: Any, events: Any, count: int) -> None:
    program = {"events": "to_ring", "samples": "to_perf"}[events.name]
    bpf.programs[program].run(PACKET, repeat=count)


def numbers(tables: Any) -> list[list[int]]:
    return [table.to_columns()["number"].tolist() for table in tables]


def test_what_is_there_becomes_a_table(bpf: Any, events: Any) -> None:
    send(bpf, events, 3)
    frame = events.to_pandas(times=["at_ns"])
    assert frame["number"].tolist() == [0, 1, 2]
    assert frame["state"].tolist() == ["OPEN"] * 3 and frame["size"].tolist() == [64] * 3
    assert abs(frame["at_ns"][0].timestamp() - time.time()) < 60
    assert len(events.to_arrow()) == 0
    assert ("cpu" in frame) == (events.name == "samples")


def test_tables_have_as_many_rows_as_asked_for(bpf: Any, events: Any) -> None:
    send(bpf, events, 10)
    tables = events.arrow_batches(max_rows=4, max_delay=None, timeout=0)
    assert numbers(tables) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_stream_is_one_table_to_others(bpf: Any, events: Any) -> None:
    send(bpf, events, 10)
    tables = events.arrow_batches(max_rows=3, timeout=0)
    schema = pa.schema(tables)
    whole = pa.Table.from_batches(map(pa.record_batch, tables), schema)
    assert whole["number"].to_pylist() == list(range(10))
    assert whole["state"].to_pylist() == ["OPEN"] * 10


def test_async_for_gives_the_same(bpf: Any, events: Any) -> None:
    send(bpf, events, 10)

    async def gather() -> list[Any]:
        return [table async for table in events.arrow_batches(max_rows=4, timeout=0.01)]

    assert numbers(asyncio.run(gather())) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_no_more_is_taken_than_is_asked_for(bpf: Any, events: Any) -> None:
    send(bpf, events, 10)
    tables = events.arrow_batches(max_rows=4, timeout=0)
    assert len(next(tables)) == 4
    assert [
        event[1].number if events.name == "samples" else event.number for event in events.read()
    ] == [*range(4, 10)]
    assert next(tables, None) is None


def test_iteration_and_tables_share_the_events(bpf: Any, events: Any) -> None:
    send(bpf, events, 6)
    for _ in events:
        break
    assert events.poll(0)
    assert numbers([events.to_arrow()]) == [[1, 2, 3, 4, 5]]


def test_a_vm_has_nothing_to_wait_for(compiled: osmia.Object) -> None:
    with compiled.load(engine="vm") as bpf:
        events: Any = bpf.maps["events"]
        send(bpf, events, 2)
        assert numbers(events.arrow_batches()) == [[0, 1]]
        send(bpf, events, 1)
        assert numbers(events.arrow_batches()) == [[2]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_rows": 0}, "max_rows is 0, at least 1"),
        ({"max_delay": -1}, "max_delay is -1, at least 0"),
        ({"times": {"at_ns": "sundial"}}, "has the clock 'sundial'"),
    ],
)
def test_wrong_options_are_refused(bpf: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bpf.maps["events"].arrow_batches(**options)


def test_records_without_a_type_are_refused(bpf: Any) -> None:
    events = bpf.maps["events"]
    events.event_codec = None
    with pytest.raises(osmia.CodecError, match="columns need the records' type, an event_codec"):
        events.arrow_batches()
    with pytest.raises(TypeError):
        events.to_arrow()


def test_wrong_times_are_refused_before_anything_is_taken(bpf: Any, events: Any) -> None:
    send(bpf, events, 2)
    with pytest.raises(KeyError, match="did you mean 'at_ns'"):
        events.to_columns(times=["at_n"])
    assert len(events.to_arrow()) == 2
