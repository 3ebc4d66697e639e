"""How a host's answers travel: an error as itself, where it can, and as text in any case; a table
as its buffers, none of which is copied."""

from __future__ import annotations

import pickle
import sys
from typing import TYPE_CHECKING, Any, SupportsIndex

from osmia.named_tuples import NamedTuple

if TYPE_CHECKING:
    import pyarrow

#: A table whose buffers have more bytes than its rows, by so much, is copied before it travels.
_SLACK = 1.25


class Failure(NamedTuple):
    """The error of a call: its class's name, its text, and itself or None."""

    kind: str
    message: str
    error: bytes | None


def failure_of(error: BaseException) -> Failure:
    """An error as it travels: not all of them come back from pickle."""
    try:
        content = pickle.dumps(error)
        pickle.loads(content)
    except Exception:
        content = None
    # str of a KeyError is its argument's repr: a sentence in quotes.
    told = error.args[0] if isinstance(error, KeyError) and error.args else error
    return Failure(type(error).__name__, str(told), content)


def error_of(failure: Failure) -> BaseException | None:
    """The error itself, if it travelled."""
    if failure.error is None:
        return None
    found: BaseException = pickle.loads(failure.error)
    return found


class Parcel:
    """A table on its way: who unpickles a parcel has the table.

    By itself Dask would write it into one buffer, which is not aligned where it arrives. Of
    pickle's buffers it reads the first one together with what is before it, and each other one
    into memory of its own; so the first has one byte.
    """

    def __init__(self, table: pyarrow.Table) -> None:
        self._table = table

    def __len__(self) -> int:
        return len(self._table)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        table = self._table
        if table.get_total_buffer_size() > _SLACK * table.nbytes:  # a part of a larger one
            table = _copied(table)
        first = bytearray(1)
        return _taken_out, (pickle.PickleBuffer(first) if int(protocol) >= 5 else first, table)


def _taken_out(_first: object, table: pyarrow.Table) -> pyarrow.Table:
    return table


def _copied(table: pyarrow.Table) -> pyarrow.Table:
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return pyarrow.ipc.open_stream(sink.getvalue()).read_all()


def parcelled(result: Any) -> Any:
    """What was answered, as it travels."""
    pyarrow = sys.modules.get("pyarrow")
    return Parcel(result) if pyarrow is not None and isinstance(result, pyarrow.Table) else result
