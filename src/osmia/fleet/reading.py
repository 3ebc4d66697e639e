"""What a host's maps, events and programs say, read where they are."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from osmia.errors import OsmiaError
from osmia.fleet.answering import Parcel
from osmia.named_tuples import NamedTuple

if TYPE_CHECKING:
    import pyarrow

    from osmia.engine.loaded import LoadedObject
    from osmia.fleet.installed import Installed


class Sum(NamedTuple):
    """Columns added up (`how`: pyarrow's names, "sum", "count", "min", "max"), by groups."""

    columns: tuple[str, ...]
    by: tuple[str, ...]
    how: str


class Largest(NamedTuple):
    """The rows with the `rows` largest numbers in a column."""

    column: str
    rows: int


class Events(NamedTuple):
    """A table of events, how many the kernel dropped before it, and this host's clock."""

    table: Any
    lost: int
    clock: int


def map_table(loaded: LoadedObject, held: str, options: dict[str, Any]) -> pyarrow.Table:
    """A map as pyarrow's table."""
    import pyarrow

    target: Any = loaded.maps[held]
    return pyarrow.table(target.to_arrow(**options))


def reduced(loaded: LoadedObject, held: str, options: dict[str, Any], how: Any) -> pyarrow.Table:
    """A map's table, of which only what is asked for travels: a Sum, Largest, or a function."""
    return reduced_table(map_table(loaded, held, options), how)


def reduced_table(table: pyarrow.Table, how: Any) -> Any:
    """The same of a table that is there."""
    if isinstance(how, Sum):
        _check_columns(table, (*how.columns, *how.by))
        grouped = table.group_by(list(how.by), use_threads=False)
        return grouped.aggregate([(column, how.how) for column in how.columns])
    if isinstance(how, Largest):
        _check_columns(table, (how.column,))
        order = [(how.column, "descending")]
        import pyarrow.compute

        return table.take(pyarrow.compute.select_k_unstable(table, how.rows, order))
    return how(table)


def _check_columns(table: pyarrow.Table, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in table.column_names:
            has = ", ".join(table.column_names)
            raise OsmiaError(f"there is no column {name!r}: {has}")


class Readers:
    """The streams of events that clients read, by the clients' names for them."""

    def __init__(self) -> None:
        self._readers: dict[str, tuple[str, str, Reader]] = {}  # with the object and the map
        #: What was being read for those that ended, by object and map.
        self._left: dict[tuple[str, str], Reader] = {}

    async def next(
        self,
        loaded: LoadedObject,
        owner: str,
        held: str,
        reader: str,
        **options: Any,
    ) -> Events:
        """The events that are there, or come within `wait` seconds; an empty table for none.
        No more are taken than are asked for: the others wait in the kernel's buffer."""
        known = self._readers.get(reader)
        if known is None or known[2].closed:
            made = await asyncio.to_thread(Reader, loaded.maps[held], **options)
            made.follow(self._left.pop((owner, held), None))
            self._readers[reader] = known = (owner, held, made)
        return await known[2].next()

    def end(self, reader: str) -> None:
        """Who reads the same buffer next has what was read for this one and not asked for."""
        known = self._readers.pop(reader, None)
        if known is not None:
            owner, held, ended = known
            self._left[owner, held] = ended

    def close(self, owner: str | None = None) -> None:
        """Forget the streams of an object, or all."""
        for reader in [key for key, each in self._readers.items() if owner in (None, each[0])]:
            self.end(reader)
        for key in [key for key in self._left if owner in (None, key[0])]:
            del self._left[key]


class Reader:
    """One client's stream of a buffer's events. While a table that is full travels the next one is
    read, and no more than that one."""

    def __init__(self, target: Any, *, max_rows: int, wait: float, times: Any) -> None:
        self._options = max_rows, times
        self._source: Any = target.events
        self._batches = target.arrow_batches(
            max_rows=max_rows, max_delay=0.05, timeout=wait, times=times
        )
        self._reading: asyncio.Future[Events] | None = None

    @property
    def closed(self) -> bool:
        return bool(self._source.closed)

    def follow(self, ended: Reader | None) -> None:
        """Go on with what another one that has ended was reading."""
        if ended is not None and ended._options == self._options:
            self._reading = ended._reading

    async def next(self) -> Events:
        """The next table. Who was interrupted here gets it the next time."""
        if self._reading is None:
            self._reading = self._read()
        reading = self._reading
        try:
            events = await asyncio.shield(reading)
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._reading = None
            raise
        if self._reading is reading:
            full = len(events.table) >= self._options[0]
            self._reading = self._read() if full else None
        return events

    def _read(self) -> asyncio.Future[Events]:
        return asyncio.ensure_future(asyncio.to_thread(self._events))

    def _events(self) -> Events:
        import pyarrow

        table = next(self._batches, None)
        found = (
            pyarrow.table(table)
            if table is not None
            else pyarrow.schema(self._batches).empty_table()
        )
        return Events(Parcel(found), int(getattr(self._source, "lost", 0)), time.time_ns())


def status_of(installed: Installed) -> dict[str, Any]:
    """What is known of an object on this host, for people and metrics."""
    programs = {}
    for name, program in installed.loaded.programs.items():
        info: Any = getattr(program, "info", None)
        programs[name] = {
            key: getattr(info, key)
            for key in ("id", "tag", "run_cnt", "run_time_ns")
            if hasattr(info, key)
        }
    return {
        "generation": installed.wish.generation,
        "digest": installed.wish.digest,
        "targets": installed.targets(),
        "programs": programs,
        "maps": {name: type(held).__name__ for name, held in installed.loaded.maps.items()},
    }
