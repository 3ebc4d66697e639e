"""Untrusted names: which become attributes, and what is said about wrong ones."""

import time

import pytest

from osmia.values.names import PartsByName, attribute_names, unknown_name


def test_plain_names_are_attributes_as_they_are() -> None:
    assert attribute_names(["a", "_b", "__c"], ()) == {"a": "a", "_b": "_b", "__c": "__c"}


def test_keywords_and_reserved_names_get_an_underscore() -> None:
    assert attribute_names(["from", "keys"], {"keys"}) == {"from": "from_", "keys": "keys_"}


def test_an_underscore_is_not_taken_from_another_name() -> None:
    assert attribute_names(["from", "from_"], ()) == {"from_": "from_"}
    assert attribute_names(["keys"], {"keys", "keys_"}) == {}


def test_what_means_something_to_python_is_no_attribute() -> None:
    assert attribute_names(["__init__", "__class__", "a b", "1", "", "\udc80"], ()) == {}


def test_near_names_are_told() -> None:
    assert unknown_name("flow", "sadr", ["saddr", "x"]) == (
        "flow has no 'sadr'; did you mean 'saddr'?"
    )
    assert unknown_name("flow", "zzz", ["saddr"]) == "flow has no 'zzz'"


@pytest.mark.alone
def test_a_wrong_name_costs_little_however_many_there_are() -> None:
    known = [f"{'x' * 200}{index}" for index in range(50_000)]
    start = time.monotonic()
    unknown_name("flow", "x" * 100_000, known)
    assert time.monotonic() - start < 10


def test_parts_are_a_dictionary_whose_key_errors_say_more() -> None:
    maps = PartsByName("object 'flows'", "map", {"flows": 1, "events": 2})
    assert maps == {"flows": 1, "events": 2}
    assert maps["events"] == 2
    assert maps.get("flow") is None
    with pytest.raises(KeyError, match="object 'flows' has no map 'flow'; did you mean 'flows'"):
        maps["flow"]
