"""The tree of an expression. Each node has where its text starts and ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from osmia.debugger.expressions.integers import Integer
from osmia.named_tuples import NamedTuple


class TypeWords(NamedTuple):
    """A type by its name, "unsigned int" or "struct flow", and how many pointers lead to it."""

    start: int
    end: int
    name: str
    pointers: int


class Literal(NamedTuple):
    """A number."""

    start: int
    end: int
    value: int
    kind: Integer


class Text(NamedTuple):
    """A string literal."""

    start: int
    end: int
    value: bytes


class Name(NamedTuple):
    """A name."""

    start: int
    end: int
    name: str


class Unary(NamedTuple):
    """An operator before its operand; "sizeof" is one."""

    start: int
    end: int
    operator: str
    operand: Node


class Binary(NamedTuple):
    """An operator between two operands."""

    start: int
    end: int
    operator: str
    left: Node
    right: Node


class Conditional(NamedTuple):
    """`condition ? yes : no`; without `yes` it is the condition's value."""

    start: int
    end: int
    condition: Node
    yes: Node | None
    no: Node


class Member(NamedTuple):
    """`base.name`, or `base->name`."""

    start: int
    end: int
    base: Node
    name: str


class Index(NamedTuple):
    """`base[subscript]`."""

    start: int
    end: int
    base: Node
    subscript: Node


class Call(NamedTuple):
    """`name(arguments)`."""

    start: int
    end: int
    name: str
    arguments: tuple[Node, ...]


class Cast(NamedTuple):
    """`(type)operand`."""

    start: int
    end: int
    type: TypeWords
    operand: Node


class SizeOf(NamedTuple):
    """`sizeof(type)`."""

    start: int
    end: int
    type: TypeWords


class Initialiser(NamedTuple):
    """`{1, .name = 2}`: values, with the names of members where there are any."""

    start: int
    end: int
    items: tuple[tuple[str, Node], ...]


Node: TypeAlias = (
    Literal
    | Text
    | Name
    | Unary
    | Binary
    | Conditional
    | Member
    | Index
    | Call
    | Cast
    | SizeOf
    | Initialiser
)


def parts(node: Node) -> Iterator[Node]:
    """A tree's nodes, all of them."""
    pending = [node]
    while pending:
        each = pending.pop()
        yield each
        match each:
            case Unary(operand=inner) | Cast(operand=inner):
                pending.append(inner)
            case Member(base=inner):
                pending.append(inner)
            case Binary(left=left, right=right) | Index(base=left, subscript=right):
                pending += (left, right)
            case Conditional(condition=condition, yes=yes, no=no):
                pending += (condition, no, *((yes,) if yes is not None else ()))
            case Call(arguments=arguments):
                pending += arguments
            case Initialiser(items=items):
                pending += (inner for _, inner in items)
