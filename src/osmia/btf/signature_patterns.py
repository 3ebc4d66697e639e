"""What a signature asks for: patterns of names and types, nothing of how they are written."""

from __future__ import annotations

from typing import TypeAlias

from osmia.named_tuples import NamedTuple


class AnyType(NamedTuple):
    """`*`: whatever type."""


class VoidType(NamedTuple):
    """`void`."""


class Number(NamedTuple):
    """An integer or a floating-point number of `size` bytes."""

    size: int
    floating: bool = False


class Name(NamedTuple):
    """Names that are made of these parts, in order, with whatever between them: one part alone
    is a name as it is."""

    parts: tuple[str, ...]

    @property
    def only(self) -> str | None:
        """The name, where it is just one."""
        return self.parts[0] if len(self.parts) == 1 else None

    def fits(self, name: str) -> bool:
        """Whether a name is one of these. This takes no longer than the name is long."""
        first, *middle = self.parts
        if not middle:
            return name == first
        last = middle.pop()
        at, end = len(first), len(name) - len(last)
        if end < at or not name.startswith(first) or not name.endswith(last):
            return False
        for part in middle:
            found = name.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True


class Tag(NamedTuple):
    """A struct, union or enum; `name` None: any."""

    word: str
    name: Name | None


class TypedefName(NamedTuple):
    """A name that is nothing else."""

    name: str


class Pointer(NamedTuple):
    """A pointer."""

    target: Pattern


class ArrayType(NamedTuple):
    """An array, of whatever length."""

    element: Pattern


class Rest(NamedTuple):
    """`…`: any parameters, or none."""


class Prototype(NamedTuple):
    """A function's type."""

    returned: Pattern
    parameters: Parameters


Pattern: TypeAlias = (
    "AnyType | VoidType | Number | Tag | TypedefName | Pointer | ArrayType | Prototype"
)
Parameters: TypeAlias = "tuple[Pattern | Rest, ...]"
