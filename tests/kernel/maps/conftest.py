"""Maps for the tests: made by type, closed at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from osmia.engine.maps import Map
from osmia.object.uapi import MapType

MakeMap = Callable[..., Any]


@pytest.fixture
def make_map() -> Iterator[MakeMap]:
    """make_map(type, **options): u32 keys, u64 values and 8 entries unless told otherwise."""
    made: list[Map] = []

    def make(map_type: MapType, **options: Any) -> Map:
        sizes = {"key_size": 4, "value_size": 8, "max_entries": 8, "name": "example"}
        if "key_codec" in options:
            del sizes["key_size"]
        if "value_codec" in options:
            del sizes["value_size"]
        created: Map = Map.create(map_type, **{**sizes, **options})
        made.append(created)
        return created

    yield make
    for each in made:
        each.close()


@pytest.fixture
def u64() -> Callable[[int], bytes]:
    """The eight bytes of a number in the machine's order."""
    return lambda number: number.to_bytes(8, sys.byteorder)
