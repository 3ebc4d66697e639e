"""`ArrowBatches`: the records of a source as they come, in tables."""

from __future__ import annotations

import time
from collections.abc import Generator
from operator import length_hint
from typing import Any, Self, TypedDict

from osmia.errors import ClosedError, CodecError
from osmia.events.record_source import RecordSource, Rows
from osmia.events.record_types import PresumedCodec
from osmia.events.source import RESERVED_PAUSE
from osmia.named_tuples import NamedTuple
from osmia.numpy_extra import numpy
from osmia.values import Codec
from osmia.values.leaf_arrays import Gathered, Records
from osmia.values.leaves import leaves
from osmia.values.table import Table
from osmia.values.table_columns import Column, Numbers
from osmia.values.wall_time import TimeColumns, with_times

#: Records are taken so many bytes at a time: they are in the processor's cache when columns are
#: made of them.
_STEP_BYTES = 256 * 1024


class BatchOptions(TypedDict, total=False):
    """The keywords of `RecordSource.arrow_batches`."""

    max_rows: int | None
    max_delay: float | None
    timeout: float | None
    times: TimeColumns


class ArrowBatches:
    """Tables of a source's records; what `arrow_batches` gives.

    No more is taken than the next table needs: while a table is worked on, records wait in the
    buffer, and programs are told when that is full. Records that programs send without waking
    the reader are seen within `max_delay` seconds.

    When the source is closed the iteration ends, after a last table of what was taken before. An
    exception that comes while waiting (Ctrl-C, cancellation) loses nothing: `flush` gives what
    was taken until then, and a new loop goes on.
    """

    def __init__(
        self,
        source: RecordSource[Any],
        max_rows: int | None,
        max_delay: float | None,
        timeout: float | None,
        times: TimeColumns,
    ) -> None:
        for name, value, least in (("max_rows", max_rows, 1), ("max_delay", max_delay, 0)):
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}, at least {least} is needed")
        source._check_open()
        self._source = source
        self._max_rows = max_rows
        self._max_delay = max_delay
        self._timeout = timeout
        self._times = times
        self._codec = _record_codec(source)
        self._size = self._codec.size
        self._dtype: numpy.dtype[Any] = numpy.dtype(f"V{self._size}")
        self._leaves = leaves(self._codec)
        self._step = max(_STEP_BYTES // self._size, 1)
        self._cpus: list[numpy.ndarray[Any, Any]] = []
        self._gathered: Gathered | None = None
        self._due: float | None = None  # when the table that is being gathered is given
        self._empty = self._table(Gathered(self._leaves, self._size, 0))  # refuses wrong `times`

    def flush(self) -> Table:
        """What was taken for the next table, and what is there now, `max_rows` at most."""
        if not self._source.closed:
            self._gather()
        return self._given()

    def __arrow_c_schema__(self) -> object:
        """The types of the tables' columns: `pyarrow.schema(batches)`."""
        return self._empty.__arrow_c_schema__()

    def __iter__(self) -> Self:
        return self

    def __aiter__(self) -> Self:
        return self

    def __next__(self) -> Table:
        steps = self._steps()
        try:
            step = next(steps)
            while True:
                if step.pause:
                    time.sleep(RESERVED_PAUSE)
                step = steps.send(self._source._wait(step.until))
        except (StopIteration, ClosedError):
            pass
        if not self._rows:
            raise StopIteration
        return self._given()

    async def __anext__(self) -> Table:
        import asyncio

        await asyncio.sleep(0)  # others get their turn between tables
        steps = self._steps()
        try:
            step = next(steps)
            while True:
                if step.pause:
                    await asyncio.sleep(RESERVED_PAUSE)
                left = None if step.until is None else max(0.0, step.until - time.monotonic())
                try:
                    async with asyncio.timeout(left):
                        ready = await self._source._readable()
                except TimeoutError:
                    ready = False
                step = steps.send(ready)
        except (StopIteration, ClosedError):
            pass
        if not self._rows:
            raise StopAsyncIteration
        return self._given()

    def _steps(self) -> Generator[_Wait, bool, None]:
        """Gather a table; says when to wait, and is told whether there is something to read."""
        ready, taken, ends = False, 1, None
        while True:
            now = time.monotonic()
            if taken and self._timeout is not None:
                ends = now + self._timeout
            taken = self._gather()
            over = self._is_due(now) or (ends is not None and now >= ends and not taken)
            if over or self._source.fileno() < 0:
                return
            looks = None if self._max_delay is None else now + self._max_delay
            until = min((t for t in (self._due, ends, looks) if t is not None), default=None)
            ready = yield _Wait(until, ready and not taken)

    @property
    def _rows(self) -> int:
        return 0 if self._gathered is None else self._gathered.rows

    def _is_due(self, now: float) -> bool:
        full = self._max_rows is not None and self._rows >= self._max_rows
        return full or (self._due is not None and now >= self._due)

    def _gather(self) -> int:
        """Take what is there now and the table has room for; how many records that were."""
        before, backlog = self._rows, self._source._while_open(self._source._backlog)
        # No fewer than these, for records have headers; and some were taken by `poll`, perhaps.
        expected = backlog // self._size + length_hint(self._source._batch.counter) + 1
        room = expected if self._max_rows is None else self._max_rows - before
        count = 0
        while room > 0:
            try:
                rows = self._source._take(self._dtype, min(room, self._step))
            except ValueError:  # a record of another size: it is told after those before it
                if not self._rows:
                    raise
                self._due = 0.0
                break
            count = len(rows.records)
            if not count:
                break
            self._add(rows, min(room, expected))
            room -= count
        return self._rows - before

    def _add(self, rows: Rows, expected: int) -> None:
        if self._gathered is None:
            self._gathered = Gathered(self._leaves, self._size, expected)
            if self._max_delay is not None:
                self._due = time.monotonic() + self._max_delay
        self._gathered.append(Records(rows.records, len(rows.records), self._size))
        if rows.cpus is not None:
            self._cpus.append(rows.cpus)

    def _given(self) -> Table:
        gathered, self._gathered, self._due = self._gathered, None, None
        return self._empty if gathered is None else self._table(gathered)

    def _table(self, gathered: Gathered) -> Table:
        made: dict[str, Column] = {}
        if self._source._tells_cpus:
            cpus, self._cpus = self._cpus, []
            made["cpu"] = Numbers(numpy.concatenate([numpy.empty(0, numpy.uint32), *cpus]))
        made.update(gathered.columns())
        return Table(gathered.rows, with_times(made, self._times))


class _Wait(NamedTuple):
    """Wait for records until a moment of time.monotonic (None: for ever); after a pause where
    the source was ready and had nothing."""

    until: float | None
    pause: bool


def _record_codec(source: RecordSource[Any]) -> Codec:
    given = source._codec
    codec = given.codec if isinstance(given, PresumedCodec) else given
    if not isinstance(codec, Codec):
        raise CodecError(f"{source.what}: columns need the records' type, an event_codec")
    if not codec.size:
        raise CodecError(f"{source.what}: {codec.type_name} has no size, and no columns")
    return codec
