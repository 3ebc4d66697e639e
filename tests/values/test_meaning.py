"""What members mean: seen by type and name, and nothing where these do not decide it."""

from __future__ import annotations

from typing import Any

import pytest

from osmia.values import BytesCodec, IntCodec, StructCodec
from osmia.values.meaning import (
    FORMATS,
    field_meaning,
    fits,
    kind_named,
    meaning,
    trie_key_meaning,
)

MEANINGS = ["ipv4", "ipv6", "port", "be", "mac", "text", "ktime"]


@pytest.mark.parametrize("kind", MEANINGS)
def test_members_mean_what_their_types_and_names_say(types: Any, kind: str) -> None:
    found = {field.name: field_meaning(field) for field in types(kind).fields}
    assert found == dict.fromkeys(found, kind)


def test_nothing_is_guessed_where_a_number_could_be_read_in_two_ways(types: Any) -> None:
    found = {field.name: field_meaning(field) for field in types("nothing").fields}
    assert found == dict.fromkeys(found, None)


def test_the_elements_of_an_array_mean_what_it_is_called(types: Any) -> None:
    addresses = types("nothing").by_name["addrs"].codec
    assert meaning(addresses.element, "addrs") == "ipv4"


@pytest.mark.parametrize("name", ["v4_key", "v6_key", "host_key"])
def test_the_key_of_a_trie_is_a_network_where_it_holds_one_address(types: Any, name: str) -> None:
    key = types(name)
    assert trie_key_meaning(key, key.size) == "network"
    assert meaning(key) is None  # in any other map it is a struct


@pytest.mark.parametrize("name", ["name_key", "two_key", "union_key"])
def test_the_key_of_a_trie_is_none_where_it_may_be_something_else(types: Any, name: str) -> None:
    assert trie_key_meaning(types(name), types(name).size) is None


def test_a_trie_without_types_is_known_by_the_size_of_its_keys() -> None:
    assert trie_key_meaning(None, 8) == trie_key_meaning(None, 20) == "network"
    assert trie_key_meaning(None, 12) is None


def test_formats_are_for_types_of_their_size(types: Any) -> None:
    flow = types("flow").by_name
    assert kind_named("ip", flow["saddr"].codec) == "ipv4"
    assert kind_named("ip", flow["next_hop"].codec) == "ipv6"
    assert kind_named("ip", flow["sport"].codec) is None
    assert kind_named("mac", flow["smac"].codec) == "mac"
    assert kind_named("time", flow["ts_ns"].codec) == "time"
    assert kind_named("time", flow["saddr"].codec) is None
    assert all(kind_named("hex", each.codec) == "hex" for each in flow.values())


def test_what_a_type_means_fits_it(types: Any) -> None:
    for name in MEANINGS:
        assert all(fits(name, field.codec) for field in types(name).fields)  # type: ignore[arg-type]
    assert {kind for kinds in FORMATS.values() for kind in kinds} >= set(MEANINGS)


def test_without_btf_nothing_means_anything() -> None:
    assert meaning(IntCodec(4, False, "u32", "little")) is None
    assert meaning(BytesCodec(6, "u8[6]", "little")) is None
    assert isinstance(StructCodec([], 0, "struct in_addr", "little"), StructCodec)
    assert meaning(StructCodec([], 0, "struct in_addr", "little")) is None
