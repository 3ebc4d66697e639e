"""Events of all hosts, read for whoever sends them as log records."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from threading import Event
from typing import TYPE_CHECKING, Any

from osmia.metrics.checks import check_any, check_apart, check_log, facts_of
from osmia.metrics.records import Record, Records
from osmia.metrics.settings import EventLog
from osmia.object import MapType

if TYPE_CHECKING:
    import pyarrow

    from osmia.fleet.running import Running
    from osmia.fleet.streams import HostBatch

#: How often it is looked whether it is over, in seconds.
_LOOK = 0.1
#: Rows of a host that are taken at once.
_ROWS = 8192


class FleetFeed:
    """The events of objects' buffers on all hosts; see `osmia.metrics.feeds.Feed`. What is in the
    hosts' buffers when it ends stays there."""

    def __init__(self, running: Sequence[Running], logs: Sequence[EventLog]) -> None:
        check_apart(logs)
        for log in logs:
            if log.type:
                raise ValueError(
                    f"type {log.type!r}: a fleet's events have the types of their maps"
                )
            check_any(check_log, log, [facts_of(each.object) for each in running])
        self._streams = [
            (each, log) for each in running for log in logs if log.map in each.object.maps
        ]
        self._uncounted = {
            log.map
            for each, log in self._streams
            if each.object.maps[log.map].type is MapType.RINGBUF
        }
        self._several = len(running) > 1
        self._lost: dict[tuple[str, str], int | None] = {}

    def run(self, take: Callable[[Record], object], over: Event) -> None:
        """See `Feed`."""
        asyncio.run(self._run(take, over))

    def lost(self) -> dict[tuple[str, str], int | None]:
        """See `Feed`: the kernel counts them for perf buffers."""
        return dict(self._lost)

    async def _run(self, take: Callable[[Record], object], over: Event) -> None:
        tasks = [
            asyncio.create_task(self._follow(running, log, take)) for running, log in self._streams
        ]
        try:
            while not over.is_set():
                ended, _ = await asyncio.wait(tasks, timeout=_LOOK)
                for each in ended:
                    each.result()
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(
        self, running: Running, log: EventLog, take: Callable[[Record], object]
    ) -> None:
        """One buffer on all hosts."""
        records = Records(log)
        times = {log.time: log.clock} if log.time else {}
        before: Counter[str] = Counter()
        async for batch in running.events(log.map, times=times, max_rows=_ROWS):
            self._count_lost(batch, log, before)
            if batch.table is not None:
                # Where there is no room it waits, and hosts are not asked for more.
                await asyncio.to_thread(self._give, running, log, records, batch, take)

    def _count_lost(self, batch: HostBatch, log: EventLog, before: Counter[str]) -> None:
        """A host counts since the stream began; anew when its agent is another."""
        key = batch.host, log.map
        if log.map in self._uncounted:
            self._lost.setdefault(key, None)
        elif batch.error is None:
            more = batch.lost - before[batch.host]
            self._lost[key] = (self._lost.get(key) or 0) + (more if more >= 0 else batch.lost)
            before[batch.host] = batch.lost

    def _give(
        self,
        running: Running,
        log: EventLog,
        records: Records,
        batch: HostBatch,
        take: Callable[[Record], object],
    ) -> None:
        own = {"object": running.name} if self._several else {}
        for members in _rows(batch.table):
            at = members.get(log.time) or 0
            take(records.record(own | members, int(at), batch.host))


def _rows(table: pyarrow.Table) -> list[dict[str, Any]]:
    """The rows of a table, moments in ns since 1970."""
    import pyarrow

    for index, field in enumerate(table.schema):
        if pyarrow.types.is_timestamp(field.type):
            column = table.column(index).cast("int64")
            table = table.set_column(index, field.name, column)
    found: list[dict[str, Any]] = table.to_pylist()
    return found
