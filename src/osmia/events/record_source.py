"""`RecordSource`: a source whose events are records; those of one type can be had as tables."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from osmia.arguments import names_wrong_arguments
from osmia.events.source import EventCodec, EventSource
from osmia.named_tuples import NamedTuple

if TYPE_CHECKING:
    import numpy
    import pandas

    from osmia.events.arrow_batches import ArrowBatches
    from osmia.values.table import Table
    from osmia.values.wall_time import TimeColumns

Event = TypeVar("Event")

#: Of one table in a stream, where nothing is said: rows, and seconds from the first of them.
MAX_ROWS, MAX_DELAY = 65_536, 1.0


class Rows(NamedTuple):
    """Records of one size that were taken, and the CPUs they came from where that is known."""

    records: numpy.ndarray[Any, Any]
    cpus: numpy.ndarray[Any, Any] | None = None


class RecordSource(EventSource[Event]):
    """A source of records; those of one type can be had as tables."""

    _codec: EventCodec | None
    _tells_cpus: ClassVar[bool] = False

    @abstractmethod
    def _take(self, dtype: numpy.dtype[Any], most: int | None = None) -> Rows:
        """The records of the dtype's size that are there now, `most` at most, up to the first of
        another size; ValueError when that is the very next one."""

    def to_arrow(self, *, times: TimeColumns = ()) -> Table:
        """What is there now as a table, a row for each record; empty when nothing is.

        Columns are the members of the codec's type, under dotted names ("peer.port"); one of
        records that are no structs is "value". Perf buffers have a first one, "cpu". `times` names
        columns of ns that are moments, as in `KeyedMap.to_arrow`. CodecError without a codec;
        ValueError for records of another size, as `to_numpy` says. Imports numpy.
        """
        return self.arrow_batches(max_rows=None, max_delay=None, times=times).flush()

    def to_columns(self, *, times: TimeColumns = ()) -> dict[str, numpy.ndarray[Any, Any]]:
        """What is there now as arrays by column, the caller's to change; see `to_arrow`."""
        columns = self.to_arrow(times=times).columns
        return {name: column.numpy() for name, column in columns.items()}

    def to_pandas(self, *, times: TimeColumns = ()) -> pandas.DataFrame:
        """What is there now as a DataFrame, see `to_arrow`. MissingPackageError without pandas."""
        import osmia.pandas_extra  # noqa: F401  before records are taken

        return self.to_arrow(times=times).to_pandas()

    @names_wrong_arguments
    def arrow_batches(
        self,
        *,
        max_rows: int | None = MAX_ROWS,
        max_delay: float | None = MAX_DELAY,
        timeout: float | None = None,
        times: TimeColumns = (),
    ) -> ArrowBatches:
        """The records as they come, in tables (see `to_arrow`), for `for` and `async for`.

        A table is given when it has `max_rows` rows, or `max_delay` seconds after its first
        record was taken (None: no such limit). The iteration ends when no record came for
        `timeout` seconds (None: never); where there is nothing to wait for (in a vm), when none is
        left.
        """
        from osmia.events.arrow_batches import ArrowBatches

        return ArrowBatches(self, max_rows, max_delay, timeout, times)
