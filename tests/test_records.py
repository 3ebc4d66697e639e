"""Data classes of osmia.records behave as the standard library's, to its functions too."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from typing import ClassVar

import pytest

from osmia.records import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Point:
    """Frozen, with a default and a field that does not count."""

    kind: ClassVar[str] = "point"
    x: int
    y: int = 2
    note: str = field(default="", repr=False, compare=False)


@dataclass(slots=True)
class Bag:
    """Its list is its own."""

    name: str
    things: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Point3(Point):
    """A field more than its base."""

    z: int = 0


class Named(Point):
    """No record itself: it has attributes of its own."""


@dataclass(frozen=True)
class Checked:
    """Looks at what it is given; has a dictionary."""

    value: int

    def __post_init__(self) -> None:
        if self.value < 0:
            raise ValueError("negative")


def test_arguments_are_the_fields_with_their_defaults() -> None:
    assert (Point(1).x, Point(1).y, Point(x=3, y=4).y) == (1, 2, 4)
    assert str(inspect.signature(Point)) == "(x: 'int', y: 'int' = 2, note: 'str' = '') -> None"
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        Point()  # type: ignore[call-arg]
    assert Point.kind == "point"


def test_the_first_instances_are_made_as_all_others() -> None:
    @dataclass(frozen=True)
    class Fresh:
        x: int
        parts: list[int] = field(default_factory=list)
        note: str = "none"

        def __post_init__(self) -> None:
            self.parts.append(self.x)

    for _ in range(40):  # somewhere among them `__init__` is compiled
        assert Fresh(1) == Fresh(x=1) == Fresh(1, [], note="none")
        assert Fresh(2, [1]).parts == [1, 2]
        for given, named, problem in (
            ((), {}, "missing 1 required positional argument: 'x'"),
            ((1, [], "", 4), {}, "takes from 2 to 4 positional arguments but 5 were given"),
            ((1,), {"x": 2}, "got multiple values for argument 'x'"),
            ((1,), {"z": 2}, "got an unexpected keyword argument 'z'"),
        ):
            with pytest.raises(TypeError, match=problem):
                Fresh(*given, **named)  # type: ignore[arg-type]


def test_lists_are_each_instances_own() -> None:
    one, other = Bag("a"), Bag("a")
    one.things.append(1)
    assert (one.things, other.things) == ([1], [])
    given = [7]
    assert Bag("b", given).things is given


def test_equality_hash_and_repr_are_over_the_fields_that_count() -> None:
    assert Point(1, note="a") == Point(1, note="b") != Point(2)
    assert hash(Point(1, note="a")) == hash(Point(1))
    assert repr(Point(1, note="a")).endswith("Point(x=1, y=2)")
    assert Point(1) != Point3(1)
    assert Bag.__hash__ is None


def test_frozen_ones_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'x'"):
        Point(1).x = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'x'"):
        del Point(1).x
    with pytest.raises(dataclasses.FrozenInstanceError):
        Named(1).x = 2  # type: ignore[misc]
    named = Named(1)
    named.label = "mine"  # type: ignore[attr-defined]
    assert named.label == "mine"  # type: ignore[attr-defined]


def test_slots_leave_no_dictionary() -> None:
    assert not hasattr(Point(1), "__dict__")
    assert not hasattr(Point3(1), "__dict__")
    with pytest.raises(AttributeError):
        Bag("a").other = 1  # type: ignore[attr-defined]


def test_heirs_have_the_bases_fields_first() -> None:
    assert Point3.__match_args__ == ("x", "y", "note", "z")
    assert Point3(1, z=3) == Point3(1, 2, "", 3)


def test_post_init_runs() -> None:
    with pytest.raises(ValueError, match="negative"):
        Checked(-1)


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
@pytest.mark.parametrize("record", [Point(1, 5, "n"), Bag("a", [1]), Point3(1, z=9), Checked(3)])
def test_copies_and_pickles_say_the_same(again: object, record: object) -> None:
    assert callable(again)
    assert again(record) == record


def test_the_standard_functions_know_them() -> None:
    assert dataclasses.is_dataclass(Point)
    assert [each.name for each in dataclasses.fields(Point3)] == ["x", "y", "note", "z"]
    assert dataclasses.asdict(Bag("a", [1])) == {"name": "a", "things": [1]}
    assert dataclasses.replace(Point(1), y=5) == replace(Point(1), y=5) == Point(1, 5)
    with pytest.raises(TypeError):
        replace(Point(1), nothing=5)  # type: ignore[call-arg]


def test_a_standard_data_class_may_derive_from_one() -> None:
    @dataclasses.dataclass(frozen=True)
    class Heir(Point):
        extra: int = 0

    assert Heir(1, extra=4).extra == 4
    assert Heir(1, extra=4) == Heir(1, 2, "", 4)


def test_patterns_match_by_position() -> None:
    match Point(1, 7):
        case Point(1, y):
            assert y == 7
        case _:
            pytest.fail("no match")


def test_nothing_of_dataclasses_is_imported_for_instances() -> None:
    code = """
import sys
from osmia.records import dataclass, replace
@dataclass(frozen=True, slots=True)
class A:
    a: int
    b: int = 1
assert replace(A(1), b=2) == A(1, 2) and hash(A(1)) and repr(A(1))
assert 'dataclasses' not in sys.modules and 'inspect' not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
