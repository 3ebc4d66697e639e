"""Keys: which of several functions or variables of one name a word means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.errors import AmbiguousNameError
from osmia.object.keys import Named, distinct_keys, find_key

NAMED = st.builds(
    Named,
    name=st.sampled_from(["count", "total", "a.c:count", ".bss:count", ""]),
    file=st.sampled_from(["", "a.c", "b.c"]),
    section=st.sampled_from([".bss", ".data"]),
    static=st.booleans(),
)


def keys(*things: Named, reserved: tuple[str, ...] = ()) -> list[str]:
    return distinct_keys(things, reserved)


def test_a_name_that_nobody_shares_is_the_key() -> None:
    assert keys(Named("count", "a.c", ".bss"), Named("total", "", ".bss", static=False)) == [
        "count",
        "total",
    ]


def test_static_ones_have_their_files_in_front() -> None:
    found = keys(Named("count", "a.c", ".bss"), Named("count", "b.c", ".data"))
    assert found == ["a.c:count", "b.c:count"]


def test_of_one_file_they_have_their_sections_in_front() -> None:
    found = keys(Named("count", "a.c", ".bss"), Named("count", "a.c", ".data"))
    assert found == [".bss:count", ".data:count"]


def test_where_neither_is_enough_both_are() -> None:
    found = keys(
        Named("count", "a.c", ".bss"), Named("count", "a.c", ".data"), Named("count", "b.c", ".bss")
    )
    assert found == ["a.c:.bss:count", "a.c:.data:count", "b.c:.bss:count"]


def test_what_nothing_tells_apart_is_numbered() -> None:
    found = keys(Named("count", "", ".bss"), Named("count", "", ".bss"))
    assert found == [".bss:count", ".bss:count#1"]


def test_what_others_can_see_keeps_its_name() -> None:
    found = keys(Named("count", "a.c", ".bss"), Named("count", "", ".data", static=False))
    assert found == ["a.c:count", "count"]


def test_a_reserved_name_is_no_key() -> None:
    assert keys(Named("count", "a.c", ".bss"), reserved=("count",)) == ["a.c:count"]


@given(st.lists(NAMED, max_size=12))
def test_no_two_have_one_key_and_the_key_means_the_thing(things: list[Named]) -> None:
    found = distinct_keys(things)
    assert len({*found}) == len(things)
    by_key = dict(zip(found, things, strict=True))
    for key in found:
        assert find_key(key, by_key, "variables") == key
    names = [each.name for each in things]
    assert all(key == name for key, name in zip(found, names, strict=True) if names.count(name) < 2)


def test_an_ambiguous_word_lists_what_it_may_mean() -> None:
    things = {
        "a.c:count": Named("count", "a.c", ".bss"),
        "b.c:count": Named("count", "b.c", ".bss"),
    }
    with pytest.raises(AmbiguousNameError) as caught:
        find_key("count", things, "variables")
    assert caught.value.candidates == ("a.c:count", "b.c:count")
    assert str(caught.value) == (
        "'count' is the name of 2 variables; say which: 'a.c:count' (.bss), 'b.c:count' (.bss)"
    )
    assert find_key("a.c:.bss:count", things, "variables") == "a.c:count"
    assert find_key("total", things, "variables") is None


def test_a_long_list_is_cut() -> None:
    things = {f"{n}.c:count": Named("count", f"{n}.c", ".bss") for n in range(40)}
    with pytest.raises(AmbiguousNameError, match=r"and 24 more$"):
        find_key("count", things, "variables")
