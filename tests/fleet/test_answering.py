"""Tables travel as buffers: none is copied, none comes unaligned, and no more than their rows."""

from __future__ import annotations

import pickle
from typing import Any

import pyarrow
from distributed.protocol.serialize import deserialize, serialize

from osmia.fleet.answering import Parcel, failure_of, parcelled
from osmia.fleet.errors import FleetError


def _travelled(table: pyarrow.Table) -> tuple[pyarrow.Table, list[Any]]:
    opened: Any = deserialize
    header, frames = serialize(parcelled(table))
    return opened(header, frames), frames[1:]  # the first one is the pickle itself


def test_a_table_travels_as_its_buffers_behind_one_of_a_byte() -> None:
    table = pyarrow.table({"a": pyarrow.array(range(1000), pyarrow.uint64()), "b": ["x"] * 1000})
    found, frames = _travelled(table)
    assert found == table
    assert len(frames[0]) == 1
    addresses = {
        pyarrow.py_buffer(frame).address for frame in frames[1:]
    }  # the same memory: nothing was copied
    assert table["a"].chunk(0).buffers()[1].address in addresses


def test_a_part_of_a_table_travels_without_the_rest() -> None:
    table = pyarrow.table({"a": pyarrow.array(range(100_000), pyarrow.uint64())})
    part = table.slice(50_000, 10)
    found, frames = _travelled(part)
    assert found == part
    assert sum(map(len, frames)) < 1_000
    assert pickle.loads(pickle.dumps(Parcel(part))) == part


def test_what_is_no_table_travels_as_it_is() -> None:
    assert parcelled({"a": 1}) == {"a": 1}
    assert _travelled(pyarrow.table({}))[0].num_columns == 0


def test_errors_of_hosts_are_told_as_sentences() -> None:
    told = failure_of(KeyError("there is no variable 'sean'"))
    assert (told.kind, told.message) == ("KeyError", "there is no variable 'sean'")
    assert str(FleetError("load: the cluster has no hosts", {})) == "load: the cluster has no hosts"
