"""What the kernel alone does to maps: batches, walks that start again, descriptors that close."""

from __future__ import annotations

import errno
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from osmia.engine.maps import KeyedMap, Map
from osmia.errors import (
    BpfPermissionError,
    ClosedError,
)
from osmia.kernel.maps import batches
from osmia.kernel.sys import syscall
from osmia.kernel.sys.syscall import Command
from osmia.object.uapi import MapFlag, MapType

pytestmark = pytest.mark.kernel
MakeMap = Callable[..., Any]

HASHES = [MapType.HASH, MapType.LRU_HASH]


def test_a_walk_that_starts_again_gives_nothing_twice(
    make_map: MakeMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody deletes the key that the walk holds: the kernel starts at its first key."""
    monkeypatch.setattr(batches, "BATCH_TYPES", frozenset())
    counts = make_map(MapType.HASH, max_entries=64)
    counts.update({key: key for key in range(50)})
    seen = []
    for number, key in enumerate(counts.keys()):
        seen.append(key)
        if number == 20:
            remembered = counts.next_key(key.to_bytes(4, "little"))
            assert remembered is not None
            lost = int.from_bytes(remembered, "little")
            del counts[lost]
    assert len(seen) == len(set(seen))
    assert set(seen) - {lost} == set(range(50)) - {lost}


def test_a_bucket_larger_than_the_buffers_gets_room(
    make_map: MakeMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "CHUNK_ENTRIES", 1)
    counts = make_map(MapType.HASH, max_entries=2000)
    expected = {key: key for key in range(2000)}
    counts.update(expected)
    assert dict(counts.items()) == expected
    assert dict(counts.take_all()) == expected


def test_a_map_opened_read_only_says_so(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH)
    with Map.from_id(counts.id, flags=MapFlag.RDONLY) as reader:
        assert isinstance(reader, KeyedMap)
        with pytest.raises(BpfPermissionError, match="opened read-only"):
            reader[1] = 1


def test_a_map_that_is_lost_warns(make_map: MakeMap) -> None:
    lost = Map.create(MapType.HASH, key_size=4, value_size=4, max_entries=1, name="lost")
    with pytest.warns(ResourceWarning, match="map 'lost' .* never closed"):
        del lost


def test_closing_stops_calls_that_another_thread_prepared(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH)
    counts[1] = 1
    (call,) = counts.raw._calls
    number = counts.fileno()
    counts.close()
    # The number is given away again at once, to a map of the same shape.
    other = make_map(MapType.HASH)
    assert other.fileno() == number
    call.key.raw = (2).to_bytes(4, sys.byteorder)
    assert call.update() == -1
    assert call.failure() == errno.EBADF
    assert dict(other) == {}


def test_a_map_that_is_closed_between_two_steps_says_so(make_map: MakeMap) -> None:
    counts = make_map(MapType.HASH)
    counts[1] = 1
    calls = counts.raw._calls
    counts.close()
    counts.raw._calls = calls  # as a thread still has them
    with pytest.raises(ClosedError, match="closed"):
        counts[1]


def test_interrupted_batches_go_on_where_they_were(
    make_map: MakeMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = make_map(MapType.LPM_TRIE, key_size=8, flags=MapFlag.NO_PREALLOC, max_entries=100)
    for number in range(50):
        counts[bytes((32, 0, 0, 0, 10, 0, 0, number))] = number
    attempt, interrupted = syscall._attempt, []

    def interrupt(command: int, attribute: Any) -> int:
        """What kernels before 6.14 do when entries vanish: part of the work, and EINTR."""
        if command == Command.MAP_LOOKUP_BATCH and attribute.count > 3:
            attribute.count = 3
            interrupted.append(attempt(command, attribute))
            return interrupted[-1] or -errno.EINTR
        return attempt(command, attribute)

    monkeypatch.setattr(syscall, "_attempt", interrupt)
    assert sorted(counts.values()) == list(range(50))
    assert len(interrupted) > 10


def test_a_kernel_that_is_interrupted_for_ever_is_read_entry_by_entry(
    make_map: MakeMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = make_map(MapType.HASH)
    counts[1] = 1
    attempt = syscall._attempt

    def interrupt(command: int, attribute: Any) -> int:
        if command == Command.MAP_LOOKUP_BATCH:
            attribute.count = 0
            return -errno.EINTR
        return attempt(command, attribute)

    monkeypatch.setattr(syscall, "_attempt", interrupt)
    assert dict(counts) == {1: 1}


@pytest.mark.parametrize("field", ["key_size", "value_size", "max_entries", "flags"])
def test_numbers_that_do_not_fit_are_refused(make_map: MakeMap, field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} cannot be 4,294,967,301"):
        make_map(MapType.HASH, **{field: (1 << 32) + 5})


def test_large_values_cost_what_is_there_not_what_could_be(make_map: MakeMap) -> None:
    large = make_map(
        MapType.HASH, value_size=1 << 16, max_entries=1 << 20, flags=MapFlag.NO_PREALLOC
    )
    large[1] = bytes([7]) * (1 << 16)
    tracemalloc.start()
    try:
        keys, values = large.to_arrays()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert keys.tolist() == [1]
    assert bytes(values[0]) == large[1]
    assert most < 200 << 20
