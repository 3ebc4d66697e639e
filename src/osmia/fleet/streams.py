"""Events of all hosts as one stream of tables."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from osmia.fleet.errors import HostError
from osmia.fleet.fleet import Host
from osmia.fleet.speaking import forsake
from osmia.named_tuples import NamedTuple

if TYPE_CHECKING:
    import pyarrow

    from osmia.fleet.running import Running

#: How often a host's clock is compared when it is first heard; the quickest answer counts.
_COMPARISONS = 5
#: How often hosts are looked for, and those that were lost tried again, in seconds.
_LOOK = 1.0
#: How long hosts have to hear that a stream has ended, in seconds.
_GOODBYE = 2.0
#: How often a host hears of a stream whose tables are not taken, in seconds: a part of its lease.
_RENEWAL = 20.0


class HostBatch(NamedTuple):
    """A table of events of one host. `lost` is how many were lost there since the stream began:
    those that the kernel dropped, where it counts them (perf buffers), and those that the host
    dropped because another stream was read faster than this one; `error` is set, and the table
    empty, where the host was lost, once for each time."""

    host: str
    table: pyarrow.Table | None
    lost: int = 0
    error: HostError | None = None


class EventStream:
    """What `Running.events` gives: iterate it, with `for` or `async for`.

    Each host has one table on its way, and one that waits to be taken. Nothing is buffered
    beyond, unless another stream of the same map is read faster: see `osmia.fleet.readers`.
    """

    def __init__(
        self,
        running: Running,
        name: str,
        *,
        max_rows: int,
        wait: float,
        timeout: float | None,
        duration: float | None,
        times: Any,
    ) -> None:
        self._running = running
        self._name = name
        self._reader = os.urandom(8).hex()
        self._options = {"max_rows": max_rows, "wait": wait, "times": times}
        self._timeout = timeout
        self._duration = duration
        self._failed: set[Host] = set()  # of which it was told

    def __iter__(self) -> Iterator[HostBatch]:
        """The tables as they come; the loop of Dask's client does the asking."""
        loop = self._running.fleet.client.loop.asyncio_loop
        steps = _Steps(self._batches())
        try:
            while (batch := steps.ask(loop).result()) is not None:
                yield batch
        finally:
            if loop.is_running():
                steps.end(loop).result()

    async def __aiter__(self) -> AsyncIterator[HostBatch]:
        loop = self._running.fleet.client.loop.asyncio_loop
        steps = _Steps(self._batches())
        try:
            while (batch := await asyncio.wrap_future(steps.ask(loop))) is not None:
                yield batch
        finally:
            if loop.is_running():
                await asyncio.wrap_future(steps.end(loop))

    async def _batches(self) -> AsyncGenerator[HostBatch]:
        """Ask each host for its next table when its last one is here, and waits to be taken."""
        given: asyncio.Queue[HostBatch] = asyncio.Queue(maxsize=1)
        readers: dict[Host, asyncio.Task[None]] = {}
        begin = last = time.monotonic()
        looking = asyncio.create_task(self._look(readers, given))
        try:
            while True:
                ends = [
                    since + seconds
                    for since, seconds in ((last, self._timeout), (begin, self._duration))
                    if seconds is not None
                ]
                left = min(ends) - time.monotonic() if ends else None
                try:
                    async with asyncio.timeout(left):  # wait_for loses cancellations in 3.11
                        batch = await _first(given, looking)
                except TimeoutError:
                    return
                if batch.error is None:
                    last = time.monotonic()
                yield batch
        finally:
            await _cancelled({looking})
            await _cancelled(set(readers.values()))
            fleet = self._running.fleet
            told = {
                asyncio.ensure_future(fleet.ask_one(host, "end_events", (self._reader,)))
                for host in readers
            }
            if told:
                await asyncio.wait(told, timeout=_GOODBYE)
            forsake(told)

    async def _look(
        self, readers: dict[Host, asyncio.Task[None]], given: asyncio.Queue[HostBatch]
    ) -> None:
        """Read from hosts that are there, also from those that come."""
        while True:
            for host in await self._running.fleet.find_hosts():
                if host not in readers or readers[host].done():
                    readers[host] = asyncio.create_task(self._read(host, given))
            await asyncio.sleep(_LOOK)

    async def _read(self, host: Host, given: asyncio.Queue[HostBatch]) -> None:
        fleet, name = self._running.fleet, self._running.name
        offset = await self._clock_offset(host)
        asked = (name, self._name, self._reader)
        ask = partial(fleet.ask_one, host, "next_events", asked, self._options)
        asking = asyncio.ensure_future(ask())
        try:
            while True:
                events = await asking
                if isinstance(events, HostError):
                    if host not in self._failed:
                        self._failed.add(host)
                        await given.put(HostBatch(host.name, None, 0, events))
                    return
                self._failed.discard(host)
                asking = asyncio.ensure_future(ask())  # comes while this one waits to be taken
                if len(events.table):
                    table = _moved(events.table, offset)
                    await self._put(host, HostBatch(host.name, table, events.lost), given)
        finally:
            asking.cancel()

    async def _put(self, host: Host, batch: HostBatch, given: asyncio.Queue[HostBatch]) -> None:
        """Wait until a batch can be taken; the host is told that its stream is not left."""
        putting = asyncio.ensure_future(given.put(batch))
        try:
            while not (await asyncio.wait({putting}, timeout=_RENEWAL))[0]:
                await self._running.fleet.ask_one(host, "renew_events", (self._reader,))
        finally:
            putting.cancel()

    async def _clock_offset(self, host: Host) -> int:
        """By how many ns this machine's wall clock is ahead of the host's."""
        best: tuple[int, int] | None = None
        for _ in range(_COMPARISONS):
            asked = time.time_ns()
            there = await self._running.fleet.ask_one(host, "clock")
            answered = time.time_ns()
            if isinstance(there, HostError):
                return 0
            delay = answered - asked
            if best is None or delay < best[0]:
                best = delay, asked + delay // 2 - there
        return best[1] if best is not None else 0


class _Steps:
    """An asynchronous generator, asked from another thread or loop than the one that it runs in;
    it can be ended while it is asked."""

    def __init__(self, batches: AsyncGenerator[HostBatch]) -> None:
        self._batches = batches
        self._turn = asyncio.Lock()
        self._asked: Future[HostBatch | None] | None = None

    def ask(self, loop: asyncio.AbstractEventLoop) -> Future[HostBatch | None]:
        """The next batch; None behind the last one."""
        self._asked = asyncio.run_coroutine_threadsafe(self._next(), loop)
        return self._asked

    def end(self, loop: asyncio.AbstractEventLoop) -> Future[None]:
        if self._asked is not None:
            self._asked.cancel()
        return asyncio.run_coroutine_threadsafe(self._close(), loop)

    async def _next(self) -> HostBatch | None:
        async with self._turn:
            return await anext(self._batches, None)

    async def _close(self) -> None:
        async with self._turn:
            await self._batches.aclose()


async def _first(given: asyncio.Queue[HostBatch], looking: asyncio.Task[None]) -> HostBatch:
    """The next batch; the error of who looks for hosts, if there will be none."""
    taking = asyncio.ensure_future(given.get())
    try:
        await asyncio.wait({taking, looking}, return_when=asyncio.FIRST_COMPLETED)
        if not taking.done():
            looking.result()
        return await taking
    finally:
        taking.cancel()


async def _cancelled(tasks: set[asyncio.Task[None]]) -> None:
    """Until tasks have ended: a `wait_for` within can take an answer that came at that moment for
    all there is (before Python 3.12), and they go on. What connects to a scheduler that hangs is
    not waited for."""
    end = time.monotonic() + _GOODBYE
    while tasks and time.monotonic() < end:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=0.1)
    forsake(tasks)


def _moved(table: pyarrow.Table, offset: int) -> pyarrow.Table:
    """With the moments in it by this machine's clock."""
    import pyarrow
    import pyarrow.compute

    for index, field in enumerate(table.schema):
        if pyarrow.types.is_timestamp(field.type):
            shift = pyarrow.scalar(offset, pyarrow.duration("ns"))
            column = pyarrow.compute.add(table.column(index), shift)
            table = table.set_column(index, field, column.cast(field.type))
    return table
