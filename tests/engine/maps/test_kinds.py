"""The other kinds of maps: arrays, per-CPU, tries, queues, maps of objects, storage."""

from __future__ import annotations

import ipaddress
import socket
import sys

import pytest

from osmia.engine.maps import BloomFilter, QueueMap
from osmia.errors import (
    BpfPermissionError,
    CodecError,
    EmptyMapError,
    KernelError,
    MapFullError,
    MissingKeyError,
    NotSupportedError,
)
from osmia.object.uapi import MapFlag, MapType, ProgramType

from .conftest import Bench, MakeMap


def test_an_array_has_a_value_under_every_index(make_map: MakeMap) -> None:
    numbers = make_map(MapType.ARRAY, max_entries=5)
    numbers[3] = 30
    assert len(numbers) == 5
    assert list(numbers) == [0, 1, 2, 3, 4]
    assert list(numbers.values()) == [0, 0, 0, 30, 0]
    assert dict(numbers.items())[3] == 30


def test_an_index_out_of_range_says_where_the_array_ends(make_map: MakeMap) -> None:
    numbers = make_map(MapType.ARRAY, max_entries=5)
    with pytest.raises(MissingKeyError):
        numbers[5]
    with pytest.raises(KernelError, match="indices end at 4"):
        numbers[5] = 1


def test_entries_of_an_array_cannot_be_deleted_but_cleared(make_map: MakeMap) -> None:
    numbers = make_map(MapType.ARRAY, max_entries=5)
    numbers[3] = 30
    with pytest.raises(KernelError, match="ARRAY maps cannot be deleted"):
        del numbers[3]
    numbers.clear()
    assert list(numbers.values()) == [0] * 5


@pytest.mark.parametrize("value_size", [4, 8, 12])
def test_an_array_in_memory_is_the_map(make_map: MakeMap, value_size: int) -> None:
    numbers = make_map(
        MapType.ARRAY, value_size=value_size, max_entries=1000, flags=MapFlag.MMAPABLE
    )
    memory = numbers.memory()
    assert len(memory) == numbers.slot_size * 1000
    at = 700 * numbers.slot_size
    memory[at : at + value_size] = bytes(range(value_size))
    assert numbers.read_encoded((700).to_bytes(4, sys.byteorder)) == bytes(range(value_size))
    numbers[701] = bytes(range(1, value_size + 1))
    assert memory[at + numbers.slot_size] == 1


def test_frozen_arrays_are_mapped_read_only(make_map: MakeMap) -> None:
    numbers = make_map(MapType.ARRAY, flags=MapFlag.MMAPABLE)
    numbers.freeze()
    with pytest.raises(BpfPermissionError):
        numbers.memory()
    memory = numbers.memory(writable=False)
    with pytest.raises(TypeError):
        memory[0] = 1


def test_an_array_mapped_writable_cannot_be_frozen(make_map: MakeMap) -> None:
    numbers = make_map(MapType.ARRAY, flags=MapFlag.MMAPABLE)
    memory = numbers.memory()
    with pytest.raises(KernelError, match="EBUSY"):
        numbers.freeze()
    del memory
    numbers.freeze()


def test_only_mmapable_arrays_have_memory(make_map: MakeMap) -> None:
    with pytest.raises(NotSupportedError, match="BPF_F_MMAPABLE"):
        make_map(MapType.ARRAY).memory()


@pytest.mark.parametrize(
    "map_type", [MapType.PERCPU_HASH, MapType.LRU_PERCPU_HASH, MapType.PERCPU_ARRAY]
)
@pytest.mark.parametrize("value_size", [1, 4, 8, 12])
def test_per_cpu_values_are_lists(make_map: MakeMap, map_type: MapType, value_size: int) -> None:
    counts = make_map(map_type, value_size=value_size)
    values = [bytes([cpu + 1]) * value_size for cpu in range(counts.cpus)]
    expected = [int.from_bytes(v, sys.byteorder) if value_size != 12 else v for v in values]
    counts[3] = expected
    assert counts[3] == expected
    assert dict(counts.items())[3] == expected
    assert expected in list(counts.values())
    counts[3] = counts[3]
    assert counts[3] == expected


def test_per_cpu_updates_need_a_value_for_each_cpu(make_map: MakeMap) -> None:
    counts = make_map(MapType.PERCPU_HASH, name="flows")
    many = counts.cpus + 1
    with pytest.raises(CodecError, match=f"'flows', value: {many} values given for {many - 1}"):
        counts[1] = [0] * many
    with pytest.raises(CodecError, match="'flows', value: a list of"):
        counts[1] = 5


def test_a_trie_finds_the_longest_prefix(make_map: MakeMap) -> None:
    routes = make_map(MapType.LPM_TRIE, key_size=8, flags=MapFlag.NO_PREALLOC, max_entries=100)
    routes["10.0.0.0/8"] = 8
    routes[ipaddress.ip_network("10.1.0.0/16")] = 16
    assert routes["10.1.2.3"] == 16
    assert routes[ipaddress.ip_address("10.2.0.1")] == 8
    assert "11.0.0.1" not in routes
    assert sorted(routes.networks()) == [
        (ipaddress.ip_network("10.0.0.0/8"), 8),
        (ipaddress.ip_network("10.1.0.0/16"), 16),
    ]
    del routes["10.1.0.0/16"]
    assert routes["10.1.2.3"] == 8


def test_a_trie_of_ipv6_refuses_ipv4(make_map: MakeMap) -> None:
    routes = make_map(MapType.LPM_TRIE, key_size=20, flags=MapFlag.NO_PREALLOC, name="routes")
    routes["2001:db8::/32"] = 1
    assert routes["2001:db8::1"] == 1
    for wrong in ("10.0.0.0/8", "nonsense", "10.0.0.0/99"):
        with pytest.raises(CodecError, match="'routes', key"):
            routes[wrong] = 1


def test_a_trie_of_something_else_has_no_networks(make_map: MakeMap) -> None:
    names = make_map(MapType.LPM_TRIE, key_size=12, flags=MapFlag.NO_PREALLOC)
    with pytest.raises(CodecError, match="no IP network"):
        list(names.networks())


def test_a_queue_gives_back_in_order(make_map: MakeMap) -> None:
    queue = make_map(MapType.QUEUE, key_size=0, value_size=4, max_entries=3, name="work")
    assert isinstance(queue, QueueMap)
    for number in (1, 2, 3):
        queue.push(number)
    with pytest.raises(MapFullError, match=r"'work'.*full at 3 entries"):
        queue.push(4)
    queue.push(4, replace_oldest=True)
    assert queue.peek() == 2
    assert list(queue.drain()) == [2, 3, 4]
    for attempt in (queue.pop, queue.peek):
        with pytest.raises(EmptyMapError, match="'work'") as caught:
            attempt()
        assert isinstance(caught.value, LookupError)


def test_a_stack_gives_back_the_last_first(make_map: MakeMap) -> None:
    stack = make_map(MapType.STACK, key_size=0, value_size=12, max_entries=3)
    stack.push(b"first 12 bys")
    stack.push(b"second 12 by")
    assert [stack.pop(), stack.pop()] == [b"second 12 by", b"first 12 bys"]


def test_a_wrong_value_for_a_queue_names_it(make_map: MakeMap) -> None:
    queue = make_map(MapType.QUEUE, key_size=0, value_size=4, max_entries=3, name="work")
    with pytest.raises(CodecError, match="'work', value"):
        queue.push("one")


def test_a_bloom_filter_never_forgets(make_map: MakeMap) -> None:
    known = make_map(MapType.BLOOM_FILTER, key_size=0, value_size=8, max_entries=1000)
    assert isinstance(known, BloomFilter)
    for number in range(0, 200, 2):
        known.add(number)
    assert all(number in known for number in range(0, 200, 2))
    assert sum(number in known for number in range(1, 200, 2)) < 50


@pytest.mark.parametrize("map_type", [MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS])
def test_inner_maps_are_stored_as_maps_and_read_by_id(make_map: MakeMap, map_type: MapType) -> None:
    inner = make_map(MapType.HASH, name="inner")
    outer = make_map(map_type, value_size=4, inner=inner, name="outer")
    outer[2] = inner
    assert outer[2] == inner.id
    assert (2, inner.id) in list(outer.items())
    inner[1] = 100
    with outer.open(2) as opened:
        assert opened[1] == 100
        assert opened.name == "inner"
    assert inner[1] == 100  # what was closed is another handle
    with pytest.raises(CodecError, match=r"'outer', value: .* needed, not"):
        outer[2] = inner.id
    del outer[2]
    assert 2 not in outer


def test_an_inner_map_of_another_kind_is_refused(make_map: MakeMap) -> None:
    outer = make_map(MapType.ARRAY_OF_MAPS, value_size=4, inner=make_map(MapType.HASH))
    with pytest.raises(KernelError, match="EINVAL"):
        outer[0] = make_map(MapType.HASH, value_size=4)


def test_prog_arrays_hold_programs_of_one_kind(make_map: MakeMap, bench: Bench) -> None:
    array = make_map(MapType.PROG_ARRAY, value_size=4, name="chain")
    assert array.info.owner_prog_type is None
    first = bench.program(ProgramType.SOCKET_FILTER)
    array[1] = first
    assert array[1] > 0
    assert array.info.owner_prog_type == ProgramType.SOCKET_FILTER
    with pytest.raises(KernelError, match="EINVAL"):
        array[2] = bench.program(ProgramType.XDP)
    opened = array.open(1)
    assert (opened.name, opened.type) == ("target", ProgramType.SOCKET_FILTER)
    if opened is not first:
        opened.close()
    assert list(array) == [1]
    assert len(array) == 1
    assert array.get(2) is None
    for wrong in (array[1], None, "program"):
        with pytest.raises(CodecError, match=r"'chain', value: .* needed, not"):
            array[2] = wrong
    del array[1]
    assert 1 not in array
    with pytest.raises(MissingKeyError):
        del array[1]


def test_device_maps_take_interfaces(make_map: MakeMap) -> None:
    devices = make_map(MapType.DEVMAP, value_size=4)
    devices[0] = socket.if_nametoindex("lo")
    assert devices[0] == socket.if_nametoindex("lo")
    assert list(devices.items()) == [(0, devices[0])]


def test_a_cpu_that_a_perf_event_array_has_not_is_refused(make_map: MakeMap) -> None:
    events = make_map(MapType.PERF_EVENT_ARRAY, value_size=4, max_entries=2)
    with pytest.raises(MissingKeyError):
        del events[1]
    with pytest.raises(KernelError, match="indices end at 1"):
        del events[2]
    for cpu in (-1, "0"):
        with pytest.raises(CodecError, match="map 'example', key: "):
            del events[cpu]
