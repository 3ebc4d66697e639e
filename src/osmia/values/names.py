"""Untrusted names: which can be attributes, and what to say about a wrong one."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import islice
from keyword import iskeyword

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NoReturn, TypeVar

    Part = TypeVar("Part")
else:
    Part = object

#: Names that a repr shows.
_LISTED = 12


class PartsByName(dict[str, Part]):
    """An object's maps or programs by name; the KeyError of a wrong name says which are near."""

    __slots__ = ("_kind", "_owner")

    def __init__(self, owner: str, kind: str, parts: Mapping[str, Part]) -> None:
        if parts:  # each load makes a dozen, of which most are empty
            self.update(parts)
        self._owner = owner
        self._kind = kind

    def __missing__(self, name: object) -> NoReturn:
        raise KeyError(unknown_name(self._owner, name, self, kind=f"{self._kind} "))

    def __repr__(self) -> str:
        return f"<{self._kind}s of {self._owner}: {listed(self)}>"


def listed(names: Sequence[str] | Mapping[str, object]) -> str:
    """Names for a repr: the first ones, and how many more there are; "none"."""
    first = ", ".join(islice(names, _LISTED)) or "none"
    more = len(names) - _LISTED
    return f"{first}, … and {more} more" if more > 0 else first


def attribute_names(names: Iterable[str], reserved: Container[str]) -> dict[str, str]:
    """Field name → attribute name, for those that can have one.

    A Python keyword, or a name in `reserved`, gets an underscore behind it ("from_"),
    unless that is a field's name already. Names with two underscores on both sides mean
    something to Python and get no attribute, nor does what is no identifier.
    """
    known = dict.fromkeys(names)
    attributes: dict[str, str] = {}
    for name in known:
        if not name.isidentifier() or (name.startswith("__") and name.endswith("__")):
            continue
        attribute = f"{name}_" if iskeyword(name) or name in reserved else name
        if attribute == name or (attribute not in known and attribute not in reserved):
            attributes[name] = attribute
    return attributes


def unknown_name(owner: str, name: object, known: Iterable[str], *, kind: str = "") -> str:
    """A message: `owner` has no such name, and which ones are near."""
    from difflib import get_close_matches

    # The comparison is slow on long text; untrusted names may be any length.
    candidates = [each for each in known if len(each) < 256]
    near = get_close_matches(str(name)[:256], candidates[:4096])
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"{owner} has no {kind}{name!r}{hint}"
