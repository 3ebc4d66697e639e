"""What a host's maps, events and programs say, read where they are."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from osmia.errors import NotSupportedError, OsmiaError
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
        self._readers: dict[str, tuple[str, Any, Any]] = {}

    def next(
        self,
        loaded: LoadedObject,
        owner: str,
        held: str,
        reader: str,
        *,
        max_rows: int,
        wait: float,
        times: Any,
    ) -> Events:
        """The events that are there, or come within `wait` seconds; an empty table for none.
        No more are taken than are asked for: the others wait in the kernel's buffer."""
        import pyarrow

        known = self._readers.get(reader)
        if known is None or known[1].closed:
            source: Any = loaded.maps[held]
            batches = source.arrow_batches(
                max_rows=max_rows, max_delay=0.05, timeout=wait, times=times
            )
            self._readers[reader] = known = (owner, source.events, batches)
        _, source, batches = known
        table = next(batches, None)
        found = pyarrow.table(table) if table is not None else pyarrow.schema(batches).empty_table()
        return Events(found, int(getattr(source, "lost", 0)), time.time_ns())

    def end(self, reader: str) -> None:
        self._readers.pop(reader, None)

    def close(self, owner: str | None = None) -> None:
        """Forget the streams of an object, or all."""
        for reader in [key for key, each in self._readers.items() if owner in (None, each[0])]:
            self.end(reader)


def status_of(installed: Installed) -> dict[str, Any]:
    """What is known of an object on this host, for people and metrics."""
    programs = {}
    for name, program in installed.loaded.programs.items():
        info: Any = None
        with suppress(NotSupportedError):  # in a vm
            info = program.info
        programs[name] = {
            key: getattr(info, key)
            for key in ("id", "tag", "run_cnt", "run_time_ns")
            if hasattr(info, key)
        }
    return {
        "generation": installed.wish.generation,
        "digest": installed.wish.digest,
        "trial_since": installed.since,
        "targets": installed.targets(),
        "programs": programs,
        "maps": {name: type(held).__name__ for name, held in installed.loaded.maps.items()},
    }
