"""Named tuples of osmia.named_tuples behave as the standard library's."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import threading
import typing
from pathlib import Path

import pytest

import osmia
from osmia.named_tuples import NamedTuple


class Place(NamedTuple):
    """Where something is."""

    file: str
    line: int = 1
    column: int = 0

    @property
    def shown(self) -> str:
        """For messages."""
        return f"{self.file}:{self.line}"

    def next(self) -> Place:
        """The line after it."""
        return self._replace(line=self.line + 1)


class Standard(typing.NamedTuple):
    """The same of the standard library."""

    file: str
    line: int = 1
    column: int = 0


class Worded(NamedTuple):
    """Has words of its own."""

    word: str

    def __str__(self) -> str:
        return self.word


class Marked(Place):
    """Derives from one, and has attributes."""

    def __new__(cls, file: str) -> Marked:
        made = super().__new__(cls, file, 7)
        made.mark = True
        return made

    mark: bool


class Nothing(NamedTuple):
    """No field at all."""


def test_arguments_are_the_fields_with_their_defaults() -> None:
    assert Place("a") == ("a", 1, 0)
    assert Place("a", column=3, line=2) == Place("a", 2, 3)
    assert Nothing() == ()
    shown = [str(inspect.signature(cls)) for cls in (Place, Standard)]
    assert shown[0] == re.sub(r"ForwardRef\(('\w+')\)", r"\1", shown[1])


def test_wrong_arguments_are_the_same_errors() -> None:
    for given, named in (((), {}), (("a", 1, 2, 3), {}), (("a",), {"lime": 2})):
        errors = []
        for cls in (Place, Standard):
            with pytest.raises(TypeError) as caught:
                cls(*given, **named)  # type: ignore[arg-type]
            errors.append(str(caught.value).replace("Standard", "Place"))
        assert errors[0].removeprefix("Place.") == errors[1].removeprefix("Place.")


def test_they_are_tuples_with_names() -> None:
    place = Place("a", 2)
    file, line, column = place
    assert (file, line, column) == ("a", 2, 0) == (place.file, place.line, place.column)
    assert isinstance(place, tuple)
    assert hash(place) == hash(("a", 2, 0))
    assert not hasattr(place, "__dict__")
    assert place.shown == "a:2"
    assert Place.__doc__ == "Where something is."
    with pytest.raises(AttributeError):
        place.line = 3  # type: ignore[misc]
    match place:
        case Place("a", number):
            assert number == 2


def test_what_names_make_possible() -> None:
    place = Place("a")
    assert Place._fields == Standard._fields
    assert Place._field_defaults == Standard._field_defaults
    assert typing.get_type_hints(Place) == typing.get_type_hints(Standard)
    assert place._asdict() == {"file": "a", "line": 1, "column": 0}
    assert place.next() == Place("a", 2)
    assert type(place.next()) is Place
    assert Place._make(["b", 2, 3]) == Place("b", 2, 3)
    with pytest.raises(TypeError, match="Expected 3 arguments, got 1"):
        Place._make("b")
    with pytest.raises(ValueError, match="lime"):
        place._replace(lime=2)  # type: ignore[call-arg]


def test_words_for_them() -> None:
    assert repr(Place("a")) == "Place(file='a', line=1, column=0)"
    assert repr(Standard("a")).replace("Standard", "Place") == repr(Place("a"))
    assert str(Worded("w")) == "w"
    assert repr(Nothing()) == "Nothing()"


def test_copies_and_pickles_are_equal() -> None:
    place = Place("a", 2, 3)
    for made in (copy.copy(place), copy.deepcopy(place), pickle.loads(pickle.dumps(place))):
        assert made == place
        assert type(made) is Place


def test_classes_may_derive_from_one() -> None:
    marked = Marked("a")
    assert marked == ("a", 7, 0)
    assert marked.mark
    assert isinstance(marked, Place)
    assert repr(marked) == "Marked(file='a', line=7, column=0)"


def test_it_is_the_only_base() -> None:
    with pytest.raises(TypeError, match="only base"):

        class Odd(NamedTuple, Place):  # type: ignore[misc]
            value: int


def test_first_instances_are_made_by_many_threads_at_once() -> None:
    for _ in range(50):

        class Fresh(NamedTuple):
            value: int

        made: list[Fresh] = []
        threads = [threading.Thread(target=lambda: made.append(Fresh(1))) for _ in range(4)]  # noqa: B023
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == [(1,)] * 4


def test_osmia_has_no_others() -> None:
    sources = Path(osmia.__file__).parent.rglob("*.py")
    others = [
        each.name
        for each in sources
        if each.name != "named_tuples.py"
        and any("typing" in line and "NamedTuple" in line for line in each.read_text().splitlines())
    ]
    assert others == []
