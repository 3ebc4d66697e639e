"""`Table`: records as columns: numpy's, pandas', and what all that speak Arrow take.

>>> flows = bpf.maps["flows"].to_arrow()
>>> pyarrow.table(flows), polars.DataFrame(flows), duckdb.sql("SELECT * FROM flows")
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from osmia.named_tuples import NamedTuple
from osmia.numpy_extra import numpy as np
from osmia.values.arrow import exports
from osmia.values.arrow.structures import Array, Schema
from osmia.values.base import Codec
from osmia.values.leaf_arrays import Records, columns
from osmia.values.leaves import Dimensions, leaves
from osmia.values.meaning import Kind
from osmia.values.table_columns import Column, Numbers
from osmia.values.wall_time import TimeColumns, with_times

if TYPE_CHECKING:
    import numpy
    import pandas

PerCpu: TypeAlias = Literal["list", "sum"]
"""How columns show values of all CPUs: in a list, or added up, where that means something."""


class Table:
    """Rows of named columns, in memory; it does not change.

    It has the Arrow PyCapsule interface: `pyarrow.table(table)`, `polars.DataFrame(table)`,
    duckdb and nanoarrow take it, any number of times and without a copy; what they made stays
    when the table, the map and the loaded object are gone. osmia needs none of them for it, but
    x86-64 or arm64: elsewhere NotSupportedError. `len(table)` is the number of rows.

    In Arrow, enums are dictionaries of names, addresses are text, moments timestamps in ns and
    UTC, arrays and lists of CPUs fixed-size lists, bytes fixed-size binary.
    """

    def __init__(self, rows: int, columns: Mapping[str, Column]) -> None:
        self._rows = rows
        self._columns = dict(columns)

    @property
    def names(self) -> list[str]:
        """The columns' names, in order."""
        return list(self._columns)

    def __len__(self) -> int:
        return self._rows

    def __repr__(self) -> str:
        return f"<table of {self._rows} rows: {', '.join(self._columns)}>"

    @property
    def columns(self) -> Mapping[str, Column]:
        """What each column holds, by name."""
        return MappingProxyType(self._columns)

    def to_columns(self) -> dict[str, numpy.ndarray[Any, Any]]:
        """Arrays by name, each with the rows first: numbers and truth values in arrays of their
        types; text, names of enums, addresses, bytes and wide integers as Python objects;
        moments as datetime64[ns] in UTC. Arrays and lists of CPUs are further dimensions.

        They are not writable: those who took the table have the same memory."""
        made = {name: column.numpy().view() for name, column in self._columns.items()}
        for array in made.values():
            array.flags.writeable = False
        return made

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame: enums are categories, moments are in UTC, arrays and lists of CPUs Python's
        lists. MissingPackageError without pandas (`pip install 'osmia[pandas]'`)."""
        from osmia.pandas_extra import pandas

        made = {name: column.pandas(pandas) for name, column in self._columns.items()}
        return pandas.DataFrame(made, index=pandas.RangeIndex(self._rows))

    def __arrow_c_schema__(self) -> object:
        """The types of the columns: a capsule "arrow_schema"."""
        return exports.schema_capsule(self._prepared[0].address)

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """Types and values: capsules "arrow_schema" and "arrow_array". No other types are made
        than those: `requested_schema` is a wish, which consumers fulfil themselves."""
        schema, array = self._prepared
        return exports.schema_capsule(schema.address), exports.array_capsule(array.address)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """A stream of one batch: a capsule "arrow_array_stream"; as `__arrow_c_array__`."""
        schema, array = self._prepared
        return exports.stream_capsule(schema.address, array.address, self._prepared)

    @cached_property
    def _prepared(self) -> tuple[Schema, Array]:
        schemas = [column.schema(name) for name, column in self._columns.items()]
        arrays = [column.arrow() for column in self._columns.values()]
        return Schema("+s", children=schemas), Array(self._rows, [None], children=arrays)


class Part(NamedTuple):
    """Records of one type, for some of a table's columns.

    `name` is in front of the columns' names ("" for none). Where there is a value for each of
    several CPUs, `cpus` is how many, and `slot` how many bytes one is behind the other. With a
    `kind` the whole record is one column of that meaning.
    """

    codec: Codec
    memory: numpy.ndarray[Any, Any]
    name: str = ""
    size: int = 0  # bytes of a record, where it is not the type's size
    cpus: int = 0
    slot: int = 0
    kind: Kind | None = None


def table(
    rows: int, parts: Iterable[Part], *, times: TimeColumns = (), per_cpu: PerCpu = "list"
) -> Table:
    """A table of records: `rows` of each part.

    Raises as `with_times` does; ValueError for another `per_cpu`.
    """
    if per_cpu not in ("list", "sum"):
        raise ValueError(f"per_cpu is 'list' or 'sum', not {per_cpu!r:.80}")
    made: dict[str, Column] = {}
    for part in parts:
        dimensions: Dimensions = ((part.cpus, part.slot),) if part.cpus else ()
        records = Records(part.memory, rows, part.size or part.codec.size)
        found = columns(records, leaves(part.codec, part.name, dimensions, part.kind))
        made.update(_summed(found) if part.cpus and per_cpu == "sum" else found)
    return Table(rows, with_times(made, times))


def _summed(lists: Mapping[str, Column]) -> dict[str, Column]:
    """Numbers added up over CPUs, in 64 bits as C does; others have no sum and stay lists."""
    return {
        name: Numbers(_sum(column.values)) if isinstance(column, Numbers) else column
        for name, column in lists.items()
    }


def _sum(values: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
    summed: numpy.ndarray[Any, Any] = values.sum(axis=1, dtype=f"{values.dtype.kind}8")
    return np.ascontiguousarray(summed)
