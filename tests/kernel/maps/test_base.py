"""Making and opening maps of any kind: sizes, names, information, and who owns what."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from osmia.engine.maps import Map
from osmia.errors import CodecError, KernelError
from osmia.kernel.maps.info import read_info
from osmia.kernel.sys.cpus import possible_cpus
from osmia.object.uapi import MapFlag, MapType
from osmia.values import plain_codec

pytestmark = pytest.mark.kernel
MakeMap = Callable[..., Any]


def test_information_is_what_the_map_was_made_with(make_map: MakeMap) -> None:
    flows = make_map(
        MapType.HASH, max_entries=77, flags=MapFlag.NO_PREALLOC, name="a_name_that_is_long"
    )
    info = flows.info
    assert (info.type, info.key_size, info.value_size) == (MapType.HASH, 4, 8)
    assert (info.max_entries, info.flags) == (77, MapFlag.NO_PREALLOC)
    assert info.id == flows.id > 0
    assert info.name == "a_name_that_is_"
    assert flows.name == "a_name_that_is_long"
    assert info.memlock > 0
    assert not info.is_per_cpu


def test_sizes_follow_from_codecs() -> None:
    with Map.create(
        MapType.HASH, key_codec=plain_codec(2), value_codec=plain_codec(3), max_entries=1
    ) as small:
        assert (small.info.key_size, small.info.value_size) == (2, 3)


def test_a_codec_of_another_size_is_refused(make_map: MakeMap) -> None:
    flows = make_map(MapType.HASH, name="flows")
    with pytest.raises(CodecError, match=r"map 'flows' has keys of 4 bytes; u64 has 8"):
        Map.from_id(flows.id, key_codec=plain_codec(8))


def test_each_map_object_owns_a_descriptor_of_its_own(make_map: MakeMap) -> None:
    first = make_map(MapType.HASH)
    first[1] = 10
    with Map.from_id(first.id) as second:
        assert second.fileno() != first.fileno()
        assert not os.get_inheritable(second.fileno())
        first.close()
        assert second[1] == 10


def test_an_unknown_id_is_enoent() -> None:
    with pytest.raises(KernelError, match=r"cannot open map 2147483646: .*ENOENT"):
        Map.from_id(2**31 - 2)


def test_a_perf_event_array_has_an_entry_for_each_possible_cpu(make_map: MakeMap) -> None:
    events = make_map(MapType.PERF_EVENT_ARRAY, value_size=4, max_entries=0)
    assert events.info.max_entries == possible_cpus()


def test_a_map_on_a_numa_node_has_the_flag(make_map: MakeMap) -> None:
    assert MapFlag.NUMA_NODE in make_map(MapType.ARRAY, numa_node=0).info.flags


def test_an_unknown_map_type_is_a_plain_map(make_map: MakeMap) -> None:
    assert Map.class_for(9999) is Map
    info = read_info(make_map(MapType.HASH).fileno())
    assert info.type is MapType.HASH
