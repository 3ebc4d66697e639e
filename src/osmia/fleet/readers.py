"""Events of a host's maps, each map read once and given to the streams of all clients.

A stream begins with what waits in the kernel's buffer when it is first asked for, and sees all that
is read from then on. Reading is done when a stream asks and has nothing: so the quickest one sets
the pace, and while none asks, events wait in the kernel's buffer, whose programs are told when that
is full. Where a table was full the next one is read while that one travels.

What is read for another stream waits for a slower one, up to `LIMIT` bytes: beyond, the slow stream
loses what comes, which is counted for it. What the last stream of a map did not ask for when it
ended is the next one's.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Collection, Hashable
from typing import TYPE_CHECKING, Any

from osmia.events.record_types import presumed_record_codec
from osmia.named_tuples import NamedTuple

if TYPE_CHECKING:
    import pyarrow

    from osmia.engine.loaded import LoadedObject
    from osmia.values.table import Table

#: What waits for one stream at most, in bytes.
LIMIT = 16 << 20
#: How long a stream is kept that nobody asks for, in seconds: its client died, perhaps.
LEASE = 60.0
#: How long a table is gathered from its first event on, in seconds.
_DELAY = 0.05


class Events(NamedTuple):
    """A table of events, how many the stream lost before it, and this host's clock."""

    table: Any
    lost: int
    clock: int


class Readers:
    """The maps of this host whose events are read, by the objects that own them and their names."""

    def __init__(self) -> None:
        self._readers: dict[tuple[Hashable, str], Reader] = {}

    async def next(
        self, loaded: LoadedObject, owner: Hashable, held: str, stream: str, **options: Any
    ) -> Events:
        """The next events of a stream, which is made when it is first asked for: see
        `Reader.next`."""
        self.expire()
        reader = self._readers.setdefault((owner, held), Reader(held))
        try:
            return await reader.next(loaded, stream, **options)
        finally:
            if reader.is_done:  # it has no events
                self._readers.pop((owner, held), None)

    def renew(self, stream: str) -> None:
        """A stream's client is there, though it does not ask."""
        for reader in self._readers.values():
            if stream in reader.streams:
                reader.streams[stream].asked = time.monotonic()

    def end(self, stream: str) -> None:
        for key, reader in list(self._readers.items()):
            reader.end(stream)
            if reader.is_done:
                del self._readers[key]

    def expire(self) -> None:
        """Forget streams that nobody asked for."""
        oldest = time.monotonic() - LEASE
        for reader in list(self._readers.values()):
            for stream in [name for name, each in reader.streams.items() if each.asked < oldest]:
                self.end(stream)

    def keep(self, owners: Collection[Hashable]) -> None:
        """Forget the streams of all other objects."""
        for key in [key for key in self._readers if key[0] not in owners]:
            del self._readers[key]

    def close(self) -> None:
        """Forget all streams."""
        self.keep(())

    def __len__(self) -> int:
        """How many streams there are."""
        return sum(len(each.streams) for each in self._readers.values())


class _Stream:
    """What waits for a client, and what it lost."""

    def __init__(self, times: Any, empty: pyarrow.Table, lost: int) -> None:
        self.times, self.empty = times, empty
        self.asked = time.monotonic()
        self._tables: deque[pyarrow.Table] = deque()
        self._bytes = 0
        self._lost = -lost  # what the kernel lost before this stream is not its own loss

    def __bool__(self) -> bool:
        return bool(self._tables)

    def give(self, table: pyarrow.Table) -> None:
        size = table.nbytes
        if self._tables and self._bytes + size > LIMIT:
            self._lost += len(table)
            return
        self._tables.append(table)
        self._bytes += size

    def heir(self) -> _Stream:
        """Another stream, which gets what this one did not take: who still waits for this one
        gets nothing."""
        made = _Stream(self.times, self.empty, 0)
        made._tables, made._bytes = self._tables, self._bytes
        self._tables, self._bytes = deque(), 0
        return made

    def begin(self, lost: int) -> None:
        """A client's from now on, which has lost nothing yet."""
        self._lost, self.asked = -lost, time.monotonic()

    def take(self, max_rows: int, lost: int) -> Events:
        """The next table, of `max_rows` at most, or an empty one."""
        table = self.empty
        if self._tables:
            table = self._tables.popleft()
            if len(table) > max_rows:
                self._tables.appendleft(table.slice(max_rows))
                table = table.slice(0, max_rows)
            self._bytes = sum(each.nbytes for each in self._tables)
        return Events(table, self._lost + lost, time.time_ns())


class Reader:
    """One map's events, for any number of streams; used in one event loop."""

    def __init__(self, held: str) -> None:
        self.streams: dict[str, _Stream] = {}
        self._left: _Stream | None = None  # the last one that ended, while there is no other
        self._held = held
        self._source: Any = None
        self._batches: dict[tuple[int, float], Any] = {}
        self._lost = 0  # by sources that are closed
        self._opening = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None

    @property
    def is_done(self) -> bool:
        """Whether there is nobody to read for, and nothing that was read."""
        reading = self._reading is not None and not self._reading.done()
        return not (self.streams or reading or self._left)

    def end(self, stream: str) -> None:
        ended = self.streams.pop(stream, None)
        if ended is not None and not self.streams:
            self._left = ended.heir()

    async def next(
        self, loaded: LoadedObject, stream: str, *, max_rows: int, wait: float, times: Any
    ) -> Events:
        """The events that are there, or come within `wait` seconds; an empty table for none. No
        more are taken than are asked for: the others wait in the kernel's buffer."""
        end = time.monotonic() + wait
        async with self._opening:
            known = self.streams.get(stream)
            if known is None or self._source.closed:
                known = await asyncio.to_thread(self._open, loaded, stream, times)
        known.asked = time.monotonic()
        left = wait
        while not known:
            own = self._reading is None or self._reading.done()
            if self._reading is None or own:
                self._reading = asyncio.create_task(self._read(known, max_rows, left))
            done, _ = await asyncio.wait({self._reading}, timeout=left + _DELAY)
            for task in done:
                task.result()
            left = end - time.monotonic()
            if left <= 0 or (own and done):
                break
        events = known.take(max_rows, self._lost_by(self._source))
        idle = self._reading is None or self._reading.done()
        if len(events.table) >= max_rows and idle and not known:
            self._reading = asyncio.create_task(self._read(known, max_rows, wait))
        return events

    def _open(self, loaded: LoadedObject, stream: str, times: Any) -> _Stream:
        """Open the source, if it is closed (an upgrade's end closes it), and a stream."""
        import pyarrow

        if self._source is None or self._source.closed:
            target: Any = loaded.maps[self._held]
            if target.event_codec is None:
                target.event_codec = presumed_record_codec(loaded.object, self._held)
            source = target.arrow_batches, target.events  # an error where it has no events
            self._lost = self._lost_by(self._source)
            self._source, self._batches = source[1], {}
        known = self.streams.get(stream)
        left = self._left
        if known is None and left is not None and left.times == times:
            left.begin(self._lost_by(self._source))
            known = self.streams[stream] = left
        if known is None:
            empty = pyarrow.schema(self._source.arrow_batches(times=times)).empty_table()
            known = self.streams[stream] = _Stream(times, empty, self._lost_by(self._source))
        if self._left is left:  # not before: what is read meanwhile finds a stream
            self._left = None
        return known

    def _lost_by(self, source: Any) -> int:
        return self._lost + int(getattr(source, "lost", 0))

    async def _read(self, asking: _Stream, max_rows: int, wait: float) -> None:
        """Read once, for all streams."""
        table, made = await asyncio.to_thread(self._take, asking.times, max_rows, wait)
        if table is None:
            return
        nobody = [] if self._left is None else [self._left]
        for stream in list(self.streams.values()) or nobody:
            stream.give(made if stream.times == asking.times else _made(table, stream.times))

    def _take(self, times: Any, max_rows: int, wait: float) -> tuple[Table | None, Any]:
        key = max_rows, round(wait, 1)
        batches = self._batches.get(key)
        if batches is None:
            batches = self._source.arrow_batches(
                max_rows=max_rows, max_delay=_DELAY, timeout=key[1]
            )
            self._batches = {key: batches}
        table = next(batches, None)
        return table, None if table is None else _made(table, times)


def _made(table: Table, times: Any) -> pyarrow.Table:
    """A table of pyarrow's, with columns of moments."""
    import pyarrow

    from osmia.values.table import Table
    from osmia.values.wall_time import with_times

    if times:
        table = Table(len(table), with_times(dict(table.columns), times))
    return pyarrow.table(table)
