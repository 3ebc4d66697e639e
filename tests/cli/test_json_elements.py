"""Arrays of JSON are read element by element, whatever the pieces in which the text comes."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osmia.cli import json_elements
from osmia.cli.json_elements import NotJson, elements

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


class Pieces(io.StringIO):
    """A stream that gives a few letters at a time, as a pipe may."""

    def __init__(self, text: str, size: int) -> None:
        super().__init__(text)
        self._size = size

    def read(self, size: int | None = -1, /) -> str:
        return super().read(self._size)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(VALUES), st.integers(1, 9), st.sampled_from([None, 2]))
def test_all_elements_come_in_order(values: list[Any], size: int, indent: int | None) -> None:
    text = f" {json.dumps(values, indent=indent)}\n"
    assert list(elements(Pieces(text, size))) == values


@pytest.mark.parametrize(
    ("text", "number", "problem"),
    [
        ("", 1, "it is no JSON array"),
        ('{"key": 1}', 1, "it is no JSON array"),
        ("[1, 2", 3, "a comma or ] is expected"),
        ("[1 2]", 2, "a comma or ] is expected"),
        ("[1,", 2, "Expecting value"),
        ("[1, nonsense]", 2, "Expecting value"),
        ('[{"a": ', 1, "Expecting value"),
        ("[1] 2", 2, "something stands behind the array"),
    ],
)
def test_what_is_wrong_and_where(text: str, number: int, problem: str) -> None:
    with pytest.raises(NotJson, match=problem) as caught:
        list(elements(Pieces(text, 2)))
    assert caught.value.number == number


def test_only_what_is_not_read_yet_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_elements, "_CHUNK", 100)
    stream = io.StringIO(json.dumps([{"key": number} for number in range(10000)]))
    first = next(elements(stream))
    assert first == {"key": 0}
    assert stream.tell() == 100
