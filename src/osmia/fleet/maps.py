"""Maps of all hosts as one: gathered, reduced where they are, updated everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osmia.errors import OsmiaError
from osmia.fleet.answers import Answers
from osmia.fleet.reading import Largest, Sum, reduced_table
from osmia.records import replace

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas
    import pyarrow

    from osmia.fleet.running import Running
    from osmia.fleet.wishes import Wish

#: How what hosts have reduced is reduced again.
_AGAIN = {"sum": "sum", "count": "sum", "min": "min", "max": "max"}


class FleetMaps(Mapping[str, "FleetMap"]):
    """The maps of an object, by name."""

    def __init__(self, running: Running) -> None:
        self._running = running

    def __getitem__(self, name: str) -> FleetMap:
        if name not in self._running.object.maps:
            has = ", ".join(self._running.object.maps)
            raise KeyError(f"object {self._running.name!r} has no map {name!r}: {has}")
        return FleetMap(self._running, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._running.object.maps)

    def __len__(self) -> int:
        return len(self._running.object.maps)


class FleetMap:
    """A map on all hosts. Tables have a column `host` in front of those of `Map.to_arrow`."""

    def __init__(self, running: Running, name: str) -> None:
        self._running = running
        self.name = name

    def __repr__(self) -> str:
        return f"<FleetMap {self.name!r} of {self._running.name!r}>"

    def tables(self, **options: Any) -> Answers[pyarrow.Table]:
        """The map's table of each host; `options` are those of `Map.to_arrow`."""
        return self._ask("table", options)

    def to_arrow(self, **options: Any) -> pyarrow.Table:
        """The rows of all hosts in one table. FleetError where a host does not answer."""
        return _joined(self.tables(**options).checked(f"reading map {self.name!r}"))

    def to_pandas(self, **options: Any) -> pandas.DataFrame:
        """The same as a DataFrame."""
        return self.to_arrow(**options).to_pandas()

    def to_dask(self, **options: Any) -> Any:
        """A lazy frame of `dask.dataframe`, with a partition for each host, read on that host
        when it is computed."""
        from osmia.fleet.frames import frame

        return frame(self._running, self.name, options)

    def sum(self, *columns: str, by: Sequence[str] = (), **options: Any) -> pyarrow.Table:
        """Columns added up over all hosts, by the groups of other columns ("host" is one). Hosts
        add up theirs; only sums travel. Columns are called as they were."""
        return self.aggregate("sum", *columns, by=by, **options)

    def aggregate(
        self, how: str, *columns: str, by: Sequence[str] = (), **options: Any
    ) -> pyarrow.Table:
        """The same for "sum", "count", "min" or "max"."""
        if how not in _AGAIN:
            raise ValueError(f"how is one of {', '.join(_AGAIN)}, not {how!r}")
        if not columns:
            raise TypeError("no column is named")
        groups = tuple(each for each in by if each != "host")
        answers = self._ask("reduced", options, Sum(columns, groups, how))
        table = _joined(answers.checked(f"reading map {self.name!r}"))
        table = _renamed(table, columns, how)
        again = reduced_table(table, Sum(columns, tuple(by), _AGAIN[how]))
        return _renamed(again, columns, _AGAIN[how])

    def top(self, count: int, column: str, **options: Any) -> pyarrow.Table:
        """The rows of all hosts with the largest numbers in a column, in that order."""
        answers = self._ask("reduced", options, Largest(column, count))
        table = _joined(answers.checked(f"reading map {self.name!r}"))
        return table.sort_by([(column, "descending")]).slice(0, count)

    def reduce(self, function: Callable[[pyarrow.Table], Any], **options: Any) -> Answers[Any]:
        """What a function makes of each host's table there. It has to be importable on the
        hosts, or one that cloudpickle takes."""
        return self._ask("reduced", options, function)

    def update(self, entries: Mapping[Any, Any]) -> None:
        """Set entries on all hosts, and on those that come. FleetError, and the entries as they
        were wanted before, where one refuses."""
        self._change(dict(entries), f"update of map {self.name!r}")

    def delete(self, keys: Iterable[Any]) -> None:
        """Delete entries on all hosts, and on those that come."""
        self._change(dict.fromkeys(keys), f"deletion in map {self.name!r}")

    def __setitem__(self, key: Any, value: Any) -> None:
        self.update({key: value})

    def __delitem__(self, key: Any) -> None:
        self.delete([key])

    def _change(self, entries: dict[Any, Any], what: str) -> None:
        def changed(wish: Wish) -> Wish:
            known = wish.entries.get(self.name, {})
            return replace(wish, entries={**wish.entries, self.name: {**known, **entries}})

        self._running._change(what, changed)

    def _ask(self, method: str, options: Mapping[str, Any], *more: Any) -> Answers[Any]:
        return self._running.fleet.ask(method, self._running.name, self.name, options, *more)


def with_host(table: pyarrow.Table, host: str) -> pyarrow.Table:
    """A table with the host in front of it; the name is stored once."""
    import pyarrow

    names = pyarrow.DictionaryArray.from_arrays(
        pyarrow.repeat(pyarrow.scalar(0, pyarrow.int32()), len(table)), [host]
    )
    return table.add_column(0, "host", names)


def _joined(answers: Answers[pyarrow.Table]) -> pyarrow.Table:
    import pyarrow

    tables = [with_host(table, host) for host, table in answers.items()]
    if not tables:
        raise OsmiaError("the cluster has no hosts")
    return pyarrow.concat_tables(tables).unify_dictionaries()


def _renamed(table: pyarrow.Table, columns: tuple[str, ...], how: str) -> pyarrow.Table:
    """Without what pyarrow puts behind the names of aggregated columns."""
    own = {f"{column}_{how}": column for column in columns}
    return table.rename_columns([own.get(name, name) for name in table.column_names])
