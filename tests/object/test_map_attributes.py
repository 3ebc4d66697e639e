"""The registry of `.maps` attributes: what others add, and what nobody added."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

import osmia
from osmia.errors import ObjectFormatError
from osmia.object import map_attributes
from osmia.object.map_attributes import MapAttribute, register

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct rate { int low, high; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, int); __type(value, long);
         __uint(max_entries, 4); __uint(tenants, 7); __type(limits, struct rate); } m SEC(".maps");
char _license[] SEC("license") = "GPL";
"""


@pytest.fixture
def registry() -> Iterator[None]:
    before = dict(map_attributes._ATTRIBUTES)
    yield
    map_attributes._ATTRIBUTES.clear()
    map_attributes._ATTRIBUTES.update(before)


def test_an_attribute_that_nobody_registered_is_named() -> None:
    with pytest.raises(ObjectFormatError, match="map 'm': attribute 'tenants' is not known"):
        osmia.compile(SOURCE)


def test_registered_attributes_are_read_and_applied(registry: None) -> None:
    register(
        MapAttribute(
            "tenants",
            "entries for each of so many tenants",
            apply=lambda m, count: replace(m, max_entries=m.max_entries * count),
        )
    )
    register(MapAttribute("limits", "the type of the limits", is_type=True))
    obj = osmia.compile(SOURCE)
    found = obj.maps["m"]
    assert found.max_entries == 28
    assert found.attributes["tenants"] == 7
    assert obj.btf is not None
    assert obj.btf.name_of(found.attributes["limits"]) == "rate"


def test_a_name_is_registered_once(registry: None) -> None:
    register(MapAttribute("tenants"))
    register(MapAttribute("tenants"))
    with pytest.raises(ValueError, match="'tenants' is registered already"):
        register(MapAttribute("tenants", "something else"))
