"""Several sources as one stream."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from osmia.events.merged import merged
from osmia.events.source import Batch, EventSource


class Pipe(EventSource[bytes]):
    """Bytes written to a pipe, one event each."""

    def __init__(self, what: str) -> None:
        self._read, self.write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        super().__init__(what)

    def fileno(self) -> int:
        return self._read

    def _refill(self) -> int:
        try:
            data = os.read(self._read, 100)
        except BlockingIOError:
            return 0
        events = iter([bytes([byte]) for byte in data])
        self._batch = Batch(events, events)
        return len(data)

    def _backlog(self) -> int:
        return 1

    def _release(self) -> None:
        os.close(self._read)
        os.close(self.write_end)


@contextmanager
def two_pipes() -> Iterator[tuple[Pipe, Pipe]]:
    with Pipe("one") as one, Pipe("two") as two:
        yield one, two


def test_events_come_with_the_name_of_their_source() -> None:
    with two_pipes() as (one, two):
        os.write(one.write_end, b"ab")
        os.write(two.write_end, b"c")
        events = list(merged({"one": one, "two": two}, timeout=0))
    assert events == [("one", b"a"), ("one", b"b"), ("two", b"c")]


@pytest.mark.alone
def test_waiting_ends_with_the_time() -> None:
    started = time.monotonic()
    with two_pipes() as (one, two):
        assert list(merged({"one": one, "two": two}, timeout=0.3)) == []
    assert 0.3 <= time.monotonic() - started < 3


def test_events_are_given_as_they_come() -> None:
    with two_pipes() as (one, two):
        stream = merged({"one": one, "two": two})
        for byte in b"xyz":
            os.write(two.write_end, bytes([byte]))
            assert next(stream) == ("two", bytes([byte]))


def test_without_sources_only_time_passes() -> None:
    assert list(merged({}, timeout=0.05)) == []


def test_a_source_that_fails_takes_nothing_of_the_others_along() -> None:
    with two_pipes() as (one, two):
        os.write(one.write_end, b"ab")
        os.write(two.write_end, b"c")
        two._refill = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
        stream = merged({"one": one, "two": two}, timeout=0)
        assert [next(stream), next(stream)] == [("one", b"a"), ("one", b"b")]
        with pytest.raises(ZeroDivisionError):
            next(stream)
