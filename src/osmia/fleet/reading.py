"""What a host's maps and programs say, read where they are."""

from __future__ import annotations

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
