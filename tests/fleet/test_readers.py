"""Streams of one host's events: each has all of them, at its own pace, and is forgotten when it is
left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from osmia.fleet import readers
from osmia.fleet.readers import Events, Readers
from osmia.object import Object

pytestmark = pytest.mark.slow


@pytest.fixture
def loaded(limit: Object) -> Iterator[Any]:
    with limit.load("vm") as made:
        made.data["limit"] = 0
        yield made


class Streams:
    """Streams of an object's events, by name."""

    def __init__(self, loaded: Any) -> None:
        self.loaded, self.readers = loaded, Readers()

    def send(self, count: int) -> None:
        for _ in range(count):
            self.loaded.programs["ingress"].run(bytes(64))

    async def take(self, stream: str, **options: Any) -> Events:
        given = {"max_rows": 100, "wait": 0.1, "times": (), **options}
        return await self.readers.next(self.loaded, "limit", "drops", stream, **given)

    async def numbers(self, stream: str, **options: Any) -> list[int]:
        found: list[int] = (await self.take(stream, **options)).table["number"].to_pylist()
        return found


@pytest.fixture
def streams(loaded: Any) -> Streams:
    return Streams(loaded)


def test_each_stream_has_all_events_from_its_start_on(streams: Streams) -> None:
    async def read() -> None:
        streams.send(2)
        assert await streams.numbers("first") == [0, 1]
        assert await streams.numbers("second") == []
        streams.send(2)
        assert await streams.numbers("second") == [2, 3]
        assert await streams.numbers("first") == [2, 3]
        streams.send(1)
        both = await asyncio.gather(streams.numbers("first"), streams.numbers("second"))
        assert list(both) == [[4], [4]]

    asyncio.run(read())


def test_a_stream_takes_no_more_rows_than_it_asks_for(streams: Streams) -> None:
    async def read() -> None:
        assert await streams.numbers("slow") == []
        streams.send(5)
        assert await streams.numbers("quick", max_rows=4) == [0, 1, 2, 3]
        assert await streams.numbers("slow", max_rows=3) == [0, 1, 2]
        assert await streams.numbers("slow", max_rows=3) == [3]
        assert await streams.numbers("slow", max_rows=3) == [4]
        assert await streams.numbers("quick") == [4]

    asyncio.run(read())


def test_a_slow_stream_loses_what_the_host_cannot_keep_and_the_quick_one_nothing(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "LIMIT", 100)  # six events are more

    async def read() -> None:
        await streams.take("slow")
        for _ in range(4):
            streams.send(6)
            events = await streams.take("quick")
            assert (len(events.table), events.lost) == (6, 0)
        events = await streams.take("slow")
        assert (events.table["number"].to_pylist(), events.lost) == ([0, 1, 2, 3, 4, 5], 18)
        streams.send(1)
        await streams.take("quick")
        events = await streams.take("slow")
        assert (events.table["number"].to_pylist(), events.lost) == ([24], 18)
        assert (await streams.take("late")).lost == 0

    asyncio.run(read())


def test_a_stream_that_nobody_asks_for_is_forgotten(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read() -> None:
        await streams.take("left")
        await streams.take("held")
        monkeypatch.setattr(readers, "LEASE", 0.05)
        await asyncio.sleep(0.06)
        streams.readers.renew("held")
        streams.readers.expire()
        assert len(streams.readers) == 1
        streams.readers.end("held")
        assert len(streams.readers) == 0
        streams.send(1)
        assert await streams.numbers("held") == [0]

    asyncio.run(read())


def test_each_stream_has_its_own_columns_of_moments(streams: Streams) -> None:
    async def read() -> None:
        await streams.take("plain")
        streams.send(1)
        timed = await streams.take("timed", times=["seen_ns"])
        plain = await streams.take("plain")
        assert str(timed.table.schema.field("seen_ns").type) == "timestamp[ns, tz=UTC]"
        assert str(plain.table.schema.field("seen_ns").type) == "uint64"
        assert (await streams.take("timed", wait=0, times=["seen_ns"])).table.schema == (
            timed.table.schema
        )
        with pytest.raises(KeyError, match="no column 'seen'"):
            await streams.take("wrong", times=["seen"])
        assert len(streams.readers) == 2

    asyncio.run(read())


def test_what_has_no_events_is_an_error_for_each_that_asks(streams: Streams) -> None:
    async def read() -> None:
        for _ in range(2):
            with pytest.raises(AttributeError):
                await streams.readers.next(
                    streams.loaded, "limit", "flows", "x", max_rows=1, wait=0.1, times=()
                )

    asyncio.run(read())


def test_what_an_object_left_unread_is_not_given_to_another_one_of_its_name(limit: Object) -> None:
    async def numbers(name: str, stream: str, loaded: Any, rows: int) -> list[int]:
        options: Any = {"max_rows": rows, "wait": 0.1, "times": ()}
        events = await made.next(loaded, name, "drops", stream, **options)
        found: list[int] = events.table["number"].to_pylist()
        return found

    async def read() -> None:
        with limit.load("vm") as old:
            old.data["limit"] = 0
            for _ in range(3):
                old.programs["ingress"].run(bytes(64))
            assert await numbers("limit 1", "quick", old, 1) == [0]
            # The next one may have been read ahead already, for the first stream.
            assert await numbers("limit 1", "slow", old, 1) in ([1], [2])
            assert len(made) == 2
            made.keep({"limit 2"})
            assert len(made) == 0

    made = Readers()
    asyncio.run(read())


def test_what_is_read_while_a_stream_begins_is_not_lost(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read() -> None:
        streams.send(4)
        assert await streams.numbers("quick", max_rows=1) == [0]
        streams.readers.end("quick")
        (reader,) = streams.readers._readers.values()
        begin = readers._Stream.begin

        def begin_while_it_is_read(stream: Any, lost: int) -> None:
            none: list[Any] = [reader._left]
            for each in list(reader.streams.values()) or none:
                assert each is stream  # which gets what is read now
            begin(stream, lost)

        monkeypatch.setattr(readers._Stream, "begin", begin_while_it_is_read)
        assert await streams.numbers("next", max_rows=1) == [1]
        assert reader._left is None

    asyncio.run(read())
