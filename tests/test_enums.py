"""Enumerations of osmia.enums behave as the standard library's."""

from __future__ import annotations

import copy
import enum
import importlib
import json
import pickle
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.enums import IntEnum, IntFlag

_SOURCES = Path(osmia.__file__).parent


class Level(IntEnum):
    """With an alias, a hole, a number below zero and words of its own."""

    LOW = 1
    HIGH = 9
    TOP = 9
    UNDER = -3

    @property
    def doubled(self) -> int:
        """Twice."""
        return 2 * self


class Flags(IntFlag):
    """With none, single bits, several at once and an alias."""

    NONE = 0
    READ = 1
    WRITE = 2
    BOTH = 3
    ALSO_WRITE = 2
    FAR = 64
    WIDE = 0x300


class Automatic(IntEnum):
    """Which only the standard library makes."""

    FIRST = enum.auto()
    SECOND = enum.auto()
    NINTH = 9


def declared() -> list[Any]:
    """All enumerations of integers that osmia has."""
    found = {Level, Flags, Automatic}
    for module in pkgutil.walk_packages([str(_SOURCES)], "osmia."):
        source = Path(_SOURCES, *module.name.split(".")[1:])
        text = (source / "__init__.py" if module.ispkg else source.with_suffix(".py")).read_text()
        if not re.search(r"^class \w+\(Int(Enum|Flag)\)", text, re.M):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, (enum.IntEnum, enum.IntFlag)):
                found.add(value)
    return sorted(found - {IntEnum, IntFlag}, key=lambda each: (each.__module__, each.__name__))


def standard(ours: Any) -> Any:
    """The same of the standard library."""
    base: Any = enum.IntFlag if issubclass(ours, enum.IntFlag) else enum.IntEnum
    members = {name: int(member) for name, member in ours.__members__.items()}
    return base(ours.__name__, members, module=ours.__module__, qualname=ours.__qualname__)


def seen(cls: Any, numbers: list[int]) -> list[object]:
    """All that a user can see of an enumeration and its members."""
    what: list[object] = [
        cls.__name__,
        list(map(repr, cls)),
        list(map(repr, reversed(cls))),
        {name: repr(each) for name, each in cls.__members__.items()},
        len(cls),
    ]
    for name, member in cls.__members__.items():
        assert cls[name] is cls(int(member)) is getattr(cls, name) is getattr(member, name)
        assert copy.deepcopy(member) is member
        assert isinstance(member, cls)
        assert member in cls
        what += [member.name, member.value, str(member), f"{member:>5}", hash(member)]
        what += [json.dumps(member), member + 1, member == int(member), {member: 1}[int(member)]]
    for number in numbers:
        try:
            made = cls(number)
        except ValueError as error:
            what.append(str(error))
            continue
        what += [repr(made), str(made), int(made)]
        if isinstance(made, enum.IntFlag):
            what += [repr(~made), repr(made | 5), repr(made & 6), repr(made ^ 3), list(made)]
            what += [len(made), cls(1) in made]
    return what


@pytest.mark.parametrize("ours", declared(), ids=lambda each: f"{each.__module__}.{each.__name__}")
def test_an_enumeration_is_as_one_of_the_standard_library(ours: Any) -> None:
    numbers = [*range(-4, 70), *(int(each) for each in ours), 1 << 20, 0x301, 0xFFFF]
    assert seen(ours, numbers) == seen(standard(ours), numbers)
    assert {type(vars(ours)[name]) for name in ours.__members__} <= {ours, enum.property}


def test_members_pickle_by_name_and_class() -> None:
    for member in (Level.UNDER, Flags.READ | Flags.FAR, Automatic.SECOND):
        assert pickle.loads(pickle.dumps(member)) == member
        assert type(pickle.loads(pickle.dumps(member))) is type(member)


def test_methods_and_documentation_stay() -> None:
    assert Level.HIGH.doubled == 18
    assert Level.__doc__ == "With an alias, a hole, a number below zero and words of its own."


def test_an_enumeration_cannot_be_changed_or_derived_from() -> None:
    with pytest.raises(AttributeError, match="cannot reassign member"):
        Level.LOW = 4  # type: ignore[misc]
    with pytest.raises(AttributeError, match="cannot delete member"):
        del Level.LOW
    with pytest.raises(TypeError, match="cannot extend"):
        type("More", (Level,), {})


def test_what_is_no_plain_number_is_left_to_the_standard_library() -> None:
    assert [*Automatic] == [1, 2, 9]


def test_osmia_declares_no_others() -> None:
    named = re.compile(r"^from enum import .*\bInt(Enum|Flag)\b", re.M)
    declaring = re.compile(r"^class \w+\(Int(Enum|Flag)\):", re.M)
    sources = {path: path.read_text() for path in _SOURCES.rglob("*.py")}
    assert [p for p, text in sources.items() if named.search(text) and declaring.search(text)] == []
