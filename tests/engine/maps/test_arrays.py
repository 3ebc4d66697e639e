"""Whole maps as numpy arrays, and back."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from osmia.errors import CodecError
from osmia.object.uapi import MapFlag, MapType

from .conftest import MakeMap


def test_a_hash_becomes_a_structured_array(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH, max_entries=50_000)
    keys = np.arange(30_000, dtype=np.uint32)
    counts.update_arrays(keys, keys.astype(np.uint64) * 7)
    entries = counts.to_numpy()
    assert entries.dtype.names == ("key", "value")
    assert entries.dtype["key"] == np.uint32
    assert entries.dtype["value"] == np.uint64
    entries = np.sort(entries, order="key")
    assert np.array_equal(entries["key"], keys)
    assert np.array_equal(entries["value"], keys.astype(np.uint64) * 7)


def test_keys_and_values_come_in_the_same_order(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH, max_entries=1000)
    counts.update({key: key * 5 for key in range(700)})
    keys, values = counts.to_arrays()
    assert len(keys) == 700
    assert np.array_equal(keys * np.uint64(5), values)


def test_an_empty_map_gives_empty_arrays_of_the_right_type(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH)
    assert counts.to_numpy().shape == (0,)
    assert counts.to_numpy().dtype["value"] == np.uint64
    assert counts.to_arrays()[1].dtype == np.uint64


def test_arrays_may_be_written_to_and_outlive_the_map(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH)
    counts[1] = 10
    entries = counts.to_numpy()
    counts.close()
    entries["value"] += 1
    assert entries["value"][0] == 11


def test_a_structured_array_can_be_stored_again(make_map: MakeMap) -> None:
    first, second = make_map(MapType.HASH), make_map(MapType.HASH)
    first.update({1: 10, 2: 20})
    second.update(first.to_numpy())
    assert dict(second) == {1: 10, 2: 20}


def test_byte_strings_become_rows_of_bytes(make_map: MakeMap) -> None:
    blobs = make_map(MapType.HASH, key_size=6, value_size=12)
    blobs[b"abcdef"] = b"0123456789ab"
    entries = blobs.to_numpy()
    assert entries["key"].tobytes() == b"abcdef"
    assert entries["value"].tobytes() == b"0123456789ab"
    keys, values = blobs.to_arrays()
    blobs.clear()
    blobs.update_arrays(keys, values)
    assert dict(blobs) == {b"abcdef": b"0123456789ab"}


@pytest.mark.parametrize("map_type", [MapType.PERCPU_HASH, MapType.PERCPU_ARRAY])
@pytest.mark.parametrize("value_size", [4, 8, 12])
def test_per_cpu_values_are_rows(make_map: MakeMap, map_type: MapType, value_size: int) -> None:
    counts = make_map(map_type, value_size=value_size, max_entries=4)
    cpus = counts.cpus
    rows = [[bytes([16 * key + cpu]) * value_size for cpu in range(cpus)] for key in range(4)]
    for key, row in enumerate(rows):
        counts[key] = row
    keys, values = counts.to_arrays()
    assert values.shape[:2] == (4, cpus)
    for key, row in zip(keys, values, strict=True):
        assert [value.tobytes() for value in row] == rows[key]
    entries = counts.to_numpy()
    assert entries["value"].shape[:2] == (4, cpus)
    assert np.array_equal(entries["value"], values)


def test_per_cpu_rows_can_be_stored(make_map: MakeMap) -> None:
    counts = make_map(MapType.PERCPU_HASH, value_size=4, max_entries=4)
    values = np.arange(2 * counts.cpus, dtype=np.uint32).reshape(2, -1)
    counts.update_arrays(np.array([7, 8]), values)
    assert counts[8] == values[1].tolist()


def test_arrays_of_unequal_length_are_no_entries(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH, name="flows")
    with pytest.raises(CodecError, match="'flows': 2 keys and 3 values"):
        counts.update_arrays(np.arange(2), np.arange(3))


def test_lpm_tries_become_arrays(make_map: MakeMap) -> None:
    trie = make_map(MapType.LPM_TRIE, key_size=8, flags=MapFlag.NO_PREALLOC, max_entries=300)
    trie.update({f"10.{number}.0.0/16": number for number in range(200)})
    assert sorted(trie.to_numpy()["value"].tolist()) == list(range(200))


@pytest.mark.parametrize("map_type", [MapType.HASH, MapType.PERCPU_HASH])
def test_arrays_of_what_is_taken(make_map: MakeMap, map_type: MapType) -> None:
    counts = make_map(map_type, max_entries=1000)
    for number in range(700):
        counts[number] = [number] * counts.cpus if counts.cpus else number
    entries = counts.to_numpy(take=True)
    assert np.array_equal(np.sort(entries["key"]), np.arange(700))
    assert np.array_equal(entries["value"].reshape(700, -1)[:, 0], entries["key"])
    assert not counts
    counts[5] = [50] * counts.cpus if counts.cpus else 50
    keys, values = counts.to_arrays(take=True)
    assert (keys.tolist(), values.ravel()[0]) == ([5], 50)
    assert not counts


def test_maps_alone_do_not_import_numpy() -> None:
    program = "import osmia.engine.maps, sys; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
