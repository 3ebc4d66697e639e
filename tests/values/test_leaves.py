"""Types as flat columns: names, places, and what is left out."""

from __future__ import annotations

from typing import Any

from osmia.values import codec, plain_codec
from osmia.values.leaves import leaves


def names(of: Any, name: str = "") -> list[str]:
    return [leaf.name for leaf in leaves(of, name)]


def test_nested_members_have_dotted_names_in_order(compiled: Any) -> None:
    found = names(compiled.codec("event"))
    assert found[:3] == ["tiny", "wide", "yes"]
    assert [name for name in found if name.startswith("pair")] == [
        "pair.first",
        "pair.second",
        "pairs.first",
        "pairs.second",
    ]


def test_the_name_of_the_whole_is_in_front(compiled: Any) -> None:
    assert names(compiled.codec("flow"), "value")[:2] == ["value.saddr", "value.daddr"]
    assert names(plain_codec(4), "key") == ["key"]
    assert names(plain_codec(4)) == ["value"]


def test_arrays_are_dimensions_of_what_they_hold(compiled: Any) -> None:
    found = {leaf.name: leaf for leaf in leaves(compiled.codec("event"))}
    assert found["grid"].dimensions == ((2, 6), (3, 2))
    assert found["pairs.second"].dimensions == ((2, 4),)
    assert found["names"].dimensions == ((2, 4),)
    assert found["comm"].dimensions == ()


def test_members_of_anonymous_unions_are_columns_of_the_same_bytes(compiled: Any) -> None:
    found = {leaf.name: leaf.offset for leaf in leaves(compiled.codec("choice"))}
    assert found == {"kind": 0, "v4": 4, "v6": 4, "port": 4, "zone": 6}


def test_flexible_arrays_are_left_out(compiled: Any) -> None:
    assert names(compiled.codec("record")) == ["id", "count"]


def test_names_are_unique_whatever_a_file_says(raw_btf: Any) -> None:
    number = raw_btf.add_int("unsigned int", 4)
    inner = raw_btf.add_struct("inner", 4, ("b", number, 0))
    outer = raw_btf.add_struct("outer", 8, ("a", inner, 0), ("a.b", number, 32))
    assert names(codec(raw_btf.build(), outer)) == ["a.b", "a.b_"]


def test_bitfields_are_where_their_bytes_are(compiled: Any) -> None:
    found = {leaf.name: leaf for leaf in leaves(compiled.codec("packed"))}
    assert found["c"].bits is not None
    assert (found["c"].offset, found["c"].bits.size) == (3, 8)
