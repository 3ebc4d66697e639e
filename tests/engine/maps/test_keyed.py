"""Hashes as mappings: single operations, flags, errors, iteration, bulk operations."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from osmia.errors import (
    BpfPermissionError,
    ClosedError,
    CodecError,
    KernelError,
    KeyExistsError,
    MapFullError,
    MissingKeyError,
)
from osmia.object.uapi import ElementFlag, MapFlag, MapType

from .conftest import MakeMap

HASHES = [MapType.HASH, MapType.LRU_HASH]


@pytest.mark.parametrize("map_type", HASHES)
def test_a_stored_value_is_found(make_map: MakeMap, map_type: MapType) -> None:
    counts = make_map(map_type)
    counts[1] = 10
    counts[2] = 2**64 - 1
    assert counts[1] == 10
    assert counts[2] == 2**64 - 1
    assert 1 in counts
    assert 3 not in counts
    assert counts.get(3) is None
    assert counts.get(3, "none") == "none"


def test_a_missing_key_is_a_key_error_that_names_map_and_key(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH, name="flows")
    with pytest.raises(KeyError) as caught:
        counts[77]
    assert isinstance(caught.value, MissingKeyError)
    assert isinstance(caught.value, KernelError)
    assert "'flows'" in str(caught.value)
    assert "77" in str(caught.value)
    with pytest.raises(KeyError):
        del counts[77]
    with pytest.raises(KeyError):
        counts.lookup_and_delete(77)
    counts[78] = 1
    with pytest.raises(KernelError, match="EINVAL"):
        counts.lookup_and_delete(78, ElementFlag.LOCK)  # there is no lock in the value
    assert 78 in counts


def test_deleting_removes_an_entry(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH)
    counts[1] = 10
    del counts[1]
    assert 1 not in counts
    counts[2] = 20
    counts.delete(2)
    assert not counts


@pytest.mark.parametrize("map_type", HASHES)
def test_pop_takes_an_entry_out(make_map: MakeMap, map_type: MapType) -> None:
    counts = make_map(map_type)
    counts[1] = 10
    assert counts.pop(1) == 10
    assert 1 not in counts
    assert counts.pop(1, None) is None
    with pytest.raises(KeyError):
        counts.pop(1)
    counts[2] = 20
    assert counts.popitem() == (2, 20)
    with pytest.raises(KeyError):
        counts.popitem()


def test_pop_works_where_the_kernel_cannot_do_it_in_one_step(make_map: MakeMap) -> None:
    trie = make_map(MapType.LPM_TRIE, key_size=8, value_size=4, flags=MapFlag.NO_PREALLOC)
    trie["10.0.0.0/8"] = 1
    assert trie.pop("10.0.0.0/8") == 1
    assert not trie


def test_update_flags_tell_new_from_known(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH)
    with pytest.raises(MissingKeyError):
        counts.update(1, 10, ElementFlag.EXIST)
    counts.update(1, 10, ElementFlag.NOEXIST)
    with pytest.raises(KeyExistsError) as caught:
        counts.update(1, 11, ElementFlag.NOEXIST)
    assert isinstance(caught.value, FileExistsError)
    counts.update(1, 12, ElementFlag.EXIST)
    counts.update(2, 20)  # the flags of the call before are gone
    assert dict(counts) == {1: 12, 2: 20}


def test_setdefault_stores_once(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH)
    assert counts.setdefault(1, 10) == 10
    assert counts.setdefault(1, 11) == 10


def test_a_full_map_says_so(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH, max_entries=2, name="tiny")
    counts[1] = counts[2] = 0
    with pytest.raises(MapFullError, match=r"'tiny'.*full at 2 entries"):
        counts[3] = 0


@pytest.mark.parametrize("wrong", [-1, 2**32, "one", None, 1.5, b"12345"])
def test_a_wrong_key_names_the_map_and_the_type(make_map: MakeMap, wrong: object) -> None:
    counts = make_map(MapType.HASH, name="flows")
    for attempt in (counts.__getitem__, counts.__delitem__, counts.get, counts.__contains__):
        with pytest.raises(CodecError, match=r"map 'flows', key: .*u32"):
            attempt(wrong)
    with pytest.raises(CodecError, match=r"map 'flows', key: .*u32"):
        counts[wrong] = 1


@pytest.mark.parametrize("wrong", [-1, 2**64, "one", None, b"1234"])
def test_a_wrong_value_names_the_map_and_the_type(make_map: MakeMap, wrong: object) -> None:
    counts = make_map(MapType.HASH, name="flows")
    with pytest.raises(CodecError, match=r"map 'flows', value: .*u64"):
        counts[1] = wrong
    with pytest.raises(CodecError, match=r"map 'flows', value: .*u64"):
        counts.update_many({1: wrong})


def test_bytes_of_the_right_size_are_taken_as_they_are(
    make_map: MakeMap, u64: Callable[[int], bytes]
) -> None:
    counts = make_map(MapType.HASH)
    counts[u64(5)[:4]] = u64(50)
    assert counts[5] == 50


def test_keys_and_values_of_other_sizes_are_byte_strings(make_map: MakeMap) -> None:
    blobs = make_map(MapType.HASH, key_size=6, value_size=12)
    blobs[b"abcdef"] = b"0123456789ab"
    assert blobs[b"abcdef"] == b"0123456789ab"
    assert list(blobs.items()) == [(b"abcdef", b"0123456789ab")]


@pytest.mark.parametrize("map_type", HASHES)
def test_iteration_gives_every_entry_once(make_map: MakeMap, map_type: MapType) -> None:
    counts = make_map(map_type, max_entries=4096)
    expected = {key: key * 3 for key in range(1000)}
    counts.update(expected)
    assert len(counts) == 1000
    assert sorted(counts) == sorted(expected)
    assert sorted(counts.keys()) == sorted(expected)
    assert dict(counts.items()) == expected
    assert sorted(counts.values()) == sorted(expected.values())


def test_an_empty_map_has_nothing(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH)
    assert not counts
    assert len(counts) == 0
    assert list(counts.items()) == []


def test_entries_may_be_deleted_while_iterating(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH, max_entries=512)
    counts.update({key: key for key in range(300)})
    seen = []
    for key in counts:
        seen.append(key)
        del counts[key]
    assert sorted(seen) == list(range(300))
    assert not counts


def test_iteration_survives_deletes_by_others(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH, max_entries=4096)
    stay = range(2000)
    counts.update({key: key for key in stay})
    done = threading.Event()

    def churn() -> None:
        while not done.is_set():
            for key in range(10_000, 10_200):
                counts[key] = key
            for key in range(10_000, 10_200):
                counts.pop(key, None)

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        for _ in range(5):
            seen = list(counts)
            assert set(stay) <= set(seen)
            assert len(seen) == len(set(seen))
    finally:
        done.set()
        churning.join()


def test_threads_do_not_get_each_others_values(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH, max_entries=64)
    counts.update({key: key * 1000 for key in range(8)})
    wrong: list[tuple[int, int]] = []

    def read(key: int) -> None:
        for _ in range(2000):
            counts[key + 8] = key * 1000
            if counts[key] != key * 1000 or counts[key + 8] != key * 1000:
                wrong.append((key, counts[key]))

    threads = [threading.Thread(target=read, args=(key,)) for key in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_update_many_takes_mappings_and_pairs(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH, max_entries=128)
    counts.update_many({1: 10, 2: 20})
    counts.update_many((key, key) for key in range(3, 100))
    counts.update_many({})
    assert len(counts) == 99
    assert counts[2] == 20
    assert counts[99] == 99


def test_update_many_names_the_entry_that_failed(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH, max_entries=4)
    with pytest.raises(MapFullError, match="key 104"):
        counts.update_many((100 + key, 0) for key in range(10))
    assert len(counts) == 4


def test_delete_many_counts_those_that_were_there(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH, max_entries=64)
    counts.update(dict.fromkeys(range(50), 0))
    assert counts.delete_many([100, 0, 1, 101, 2, 102, 103, 3]) == 4
    assert len(counts) == 46
    assert counts.delete_many([]) == 0
    assert counts.delete_many([100]) == 0


@pytest.mark.parametrize("map_type", HASHES)
def test_clear_leaves_nothing(make_map: MakeMap, map_type: MapType) -> None:
    counts = make_map(map_type, max_entries=4096)
    counts.update(dict.fromkeys(range(1000), 0))
    counts.clear()
    assert not counts


@pytest.mark.parametrize(
    "map_type", [*HASHES, MapType.PERCPU_HASH, MapType.LPM_TRIE], ids=lambda kind: kind.name
)
def test_take_all_gives_what_leaves_the_map(make_map: MakeMap, map_type: MapType) -> None:
    trie = map_type is MapType.LPM_TRIE
    options = {"key_size": 8, "flags": MapFlag.NO_PREALLOC} if trie else {}
    counts = make_map(map_type, max_entries=4096, **options)
    counts.update(
        {f"10.{n >> 8}.{n & 255}.0/24" if trie else n: _value(counts, n) for n in range(900)}
    )
    expected = dict(counts.items())
    taken = counts.take_all()
    assert len(taken) == 900
    assert dict(taken) == expected
    assert not counts
    assert counts.take_all() == []


def _value(counts: Any, number: int) -> Any:
    return [number] * counts.cpus if counts.cpus else number


def test_entries_stored_while_all_are_taken_are_not_lost(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH, max_entries=1 << 16)
    done = threading.Event()

    def store() -> None:
        for key in range(20_000):
            counts.update(key, key, ElementFlag.NOEXIST)
        done.set()

    writer = threading.Thread(target=store)
    writer.start()
    taken: list[tuple[int, int]] = []
    while not done.is_set():
        taken += counts.take_all()
    writer.join()
    taken += counts.take_all()
    assert sorted(taken) == [(key, key) for key in range(20_000)]


def test_what_cannot_be_deleted_cannot_be_taken(make_map: MakeMap) -> None:
    values = make_map(MapType.ARRAY)
    values[3] = 30
    with pytest.raises(KernelError):
        values.take_all()
    assert values[3] == 30


def test_a_frozen_map_can_be_read_and_not_written(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH, name="flows")
    counts[1] = 10
    assert not counts.info.frozen
    counts.freeze()
    assert counts.info.frozen
    assert counts[1] == 10
    for attempt in (
        lambda: counts.update(1, 11),
        lambda: counts.delete(1),
        lambda: counts.update_many({1: 11}),
        counts.clear,
    ):
        with pytest.raises(BpfPermissionError, match=r"'flows'.*frozen"):
            attempt()
    assert counts[1] == 10


def test_a_closed_map_refuses_everything(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH, name="flows")
    counts[1] = 10
    assert counts[1] == 10  # leaves a prepared call behind
    counts.close()
    assert counts.closed
    for attempt in (
        lambda: counts[1],
        lambda: counts.get(1),
        lambda: 1 in counts,
        lambda: counts.update(1, 1),
        lambda: list(counts),
        lambda: counts.pop(1),
        lambda: counts.info,
        lambda: bool(counts),
        counts.clear,
        counts.freeze,
        counts.to_numpy,
    ):
        with pytest.raises(ClosedError, match="'flows' is closed"):
            attempt()
    counts.close()
    assert "closed" in repr(counts)


def test_maps_are_equal_when_they_are_the_same_object(make_map: MakeMap) -> None:
    first, second = make_map(MapType.HASH), make_map(MapType.HASH)
    assert first == first
    assert first != second
    assert len({first, second}) == 2


def test_spin_lock_flags_are_refused_without_a_lock(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH)
    counts[1] = 1
    with pytest.raises(KernelError, match="EINVAL"):
        counts.get(1, flags=ElementFlag.LOCK)
    assert counts.get(1) == 1  # the flag did not stay


def test_setdefault_ends_where_indices_have_no_value(make_map: MakeMap) -> None:
    """To the kernel every index exists: NOEXIST is refused also where a lookup finds nothing."""
    devices = make_map(MapType.DEVMAP, value_size=4)
    loopback = socket.if_nametoindex("lo")
    assert devices.setdefault(1, loopback) == loopback
    assert devices.setdefault(1, loopback + 1000) == loopback


@pytest.mark.parametrize("key", [b"", b"\1", bytes(5), bytes(8), bytes(4096)], ids=len)
def test_an_encoded_key_has_the_size_of_the_maps_keys(make_map: MakeMap, key: bytes) -> None:
    counts = make_map(MapType.HASH)
    counts[1] = 10
    for use in (counts.read_encoded, counts.next_key):
        with pytest.raises(CodecError, match=f"keys have 4 bytes, not {len(key)}"):
            use(key)
    assert dict(counts) == {1: 10}
