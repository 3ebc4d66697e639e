"""Whole maps as columns, Arrow tables and data frames, on every engine."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest

import osmia
from osmia.errors import MissingPackageError
from osmia.object.uapi import MapFlag, MapType

from .conftest import MakeMap

SOURCE = Path(__file__).with_name("tables.bpf.c")
FLOW = {
    "start_ns": 7,
    "peer": {"port": 0xBB01},
    "state": "OPEN",
    "urgent": 5,
    "comm": "curl",
    "retries": [1, 2],
}


@pytest.fixture(scope="module")
def compiled() -> osmia.Object:
    return osmia.compile(SOURCE)


@pytest.fixture(params=[pytest.param("kernel", marks=pytest.mark.kernel), "vm"])
def maps(compiled: osmia.Object, request: pytest.FixtureRequest) -> Iterator[Any]:
    with ExitStack() as stack:
        yield stack.enter_context(compiled.load(engine=request.param)).maps


def test_a_hash_of_structs_becomes_named_columns(maps: Any) -> None:
    flows = maps["flows"]
    flows[{"saddr": 0x0100000A, "mark": 3}] = FLOW
    columns = flows.to_columns()
    assert {name: column.tolist() for name, column in columns.items()} == {
        "key.saddr": ["10.0.0.1"],
        "key.mark": [3],
        "value.start_ns": [7],
        "value.peer.addr": ["0.0.0.0"],
        "value.peer.port": [443],
        "value.state": ["OPEN"],
        "value.urgent": [5],
        "value.comm": ["curl"],
        "value.retries": [[1, 2]],
    }


def test_a_data_frame_has_no_object_columns_of_records(maps: Any) -> None:
    flows = maps["flows"]
    for number in range(3):
        flows[{"saddr": number, "mark": 3}] = FLOW | {"start_ns": time.monotonic_ns()}
    frame = flows.to_pandas(times=["start_ns"])
    assert len(frame) == 3
    assert frame["value.start_ns"].dt.year.tolist() == [pd.Timestamp.now("UTC").year] * 3
    assert frame.groupby("value.state", observed=True)["value.urgent"].sum().tolist() == [15]


def test_what_was_made_of_a_map_stays_when_that_is_closed(maps: Any) -> None:
    flows = maps["flows"]
    flows[{"saddr": 1, "mark": 3}] = FLOW
    table = flows.to_arrow()
    arrow, frame = pa.table(table), polars.DataFrame(table)
    flows.close()
    assert arrow["value.comm"].to_pylist() == frame["value.comm"].to_list() == ["curl"]


def test_values_of_all_cpus_are_lists_or_sums(maps: Any) -> None:
    lengths = maps["lengths"]
    values = [10 * (cpu + 1) for cpu in range(lengths.cpus)]
    lengths[1] = values
    columns = lengths.to_columns()
    assert columns["key"].tolist() == [0, 1]
    assert columns["value"].tolist() == [[0] * lengths.cpus, values]
    assert lengths.to_columns(per_cpu="sum")["value"].tolist() == [0, sum(values)]
    assert pa.table(lengths.to_arrow())["value"].to_pylist()[1] == values


def test_an_array_has_a_row_for_every_index(maps: Any) -> None:
    totals = maps["totals"]
    totals[2] = 9
    assert pa.table(totals.to_arrow()).to_pydict() == {"key": [0, 1, 2], "value": [0, 0, 9]}


def test_columns_are_the_callers_to_change(maps: Any) -> None:
    columns = maps["totals"].to_columns()
    columns["value"] += 1
    assert columns["value"].tolist() == [1, 1, 1]
    assert maps["totals"][0] == 0


def test_entries_can_be_taken(maps: Any) -> None:
    flows = maps["flows"]
    flows[{"saddr": 1, "mark": 3}] = FLOW
    assert len(flows.to_arrow(take=True)) == 1
    assert len(flows) == 0 and len(flows.to_arrow()) == 0


def test_nothing_is_taken_for_what_is_refused(maps: Any) -> None:
    flows = maps["flows"]
    flows[{"saddr": 1, "mark": 3}] = FLOW
    with pytest.raises(KeyError, match="no column 'start'"):
        flows.to_columns(times=["start"], take=True)
    with pytest.raises(ValueError, match="per_cpu is 'list' or 'sum'"):
        flows.to_arrow(per_cpu="all", take=True)
    assert len(flows) == 1


def test_without_pandas_the_extra_is_named_and_nothing_taken(
    maps: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    flows = maps["flows"]
    flows[{"saddr": 1, "mark": 3}] = FLOW
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.delitem(sys.modules, "osmia.pandas_extra", raising=False)
    with pytest.raises(MissingPackageError, match=r"pandas: pip install 'osmia\[pandas\]'"):
        flows.to_pandas(take=True)
    assert len(flows) == 1


def test_maps_without_types_have_numbers_and_bytes(make_map: MakeMap) -> None:
    blobs = make_map(MapType.HASH, key_size=4, value_size=5)
    blobs[1] = b"hello"
    assert pa.table(blobs.to_arrow()).to_pydict() == {"key": [1], "value": [b"hello"]}


def test_many_entries_are_those_of_to_numpy(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH, max_entries=50_000)
    keys = np.arange(30_000, dtype=np.uint32)
    counts.update_arrays(keys, keys.astype(np.uint64) * 7)
    columns, entries = counts.to_columns(), counts.to_numpy()
    assert np.array_equal(np.sort(columns["key"]), np.sort(entries["key"]))
    assert np.array_equal(columns["value"], columns["key"].astype(np.uint64) * 7)


def test_keys_of_tries_are_networks(make_map: MakeMap) -> None:
    for size, networks in ((8, ["10.0.0.0/8", "10.1.2.0/24"]), (20, ["2001:db8::/32", "::/0"])):
        trie = make_map(MapType.LPM_TRIE, key_size=size, flags=MapFlag.NO_PREALLOC, max_entries=4)
        trie.update(dict.fromkeys(networks, 1))
        assert sorted(trie.to_columns()["key"]) == sorted(networks)
        assert sorted(pa.table(trie.to_arrow())["key"].to_pylist()) == sorted(networks)


def test_stacks_are_lists_of_addresses(make_map: MakeMap) -> None:
    stacks = make_map(MapType.STACK_TRACE, key_size=4, value_size=8 * 20, max_entries=4)
    schema = pa.table(stacks.to_arrow()).schema
    assert str(schema.field("value").type) == "fixed_size_list<item: uint64 not null>[20]"


def test_columns_are_described_before_numpy_is_imported() -> None:
    program = (
        "import osmia.engine.maps.keyed, osmia.events, sys;"
        "sys.exit(bool({'numpy', 'asyncio', 'osmia.values.table', 'osmia.events.arrow_batches'}"
        " & set(sys.modules)))"
    )
    import subprocess

    subprocess.run([sys.executable, "-c", program], check=True)
