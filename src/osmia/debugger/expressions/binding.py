"""From the tree of an expression to what it is in a frame: an operand with a type.

Nothing is read meanwhile, but what types depend on: values are read when the operand's is asked
for, so that what `&&`, `||` and `?:` pass by is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from osmia.debugger.dwarf.c_types import CType
from osmia.debugger.expressions import arithmetic
from osmia.debugger.expressions.functions import FUNCTIONS
from osmia.debugger.expressions.integers import UNSIGNED_LONG, wrapped
from osmia.debugger.expressions.names import Scope
from osmia.debugger.expressions.nodes import (
    Binary,
    Call,
    Cast,
    Conditional,
    Index,
    Initialiser,
    Literal,
    Member,
    Name,
    Node,
    SizeOf,
    Text,
    TypeWords,
    Unary,
)
from osmia.debugger.expressions.operands import (
    Address,
    Located,
    Number,
    Operand,
    Plain,
    Register,
    in_memory,
)
from osmia.debugger.expressions.tokens import ExpressionError
from osmia.debugger.expressions.types import integer_of, size_of
from osmia.errors import OsmiaError


class Binding:
    """Binds the tree of one expression, `source`, in a scope."""

    def __init__(self, source: str, scope: Scope) -> None:
        self._source = source
        self._scope = scope

    def operand(self, node: Node) -> Operand:
        """What a part of the expression is. ExpressionError, at the part that is wrong."""
        try:
            return self._bound(node)
        except ExpressionError:
            raise
        except (OsmiaError, KeyError, ValueError) as error:
            self._refuse(error, node)

    def _refuse(self, error: Exception, node: Node) -> NoReturn:
        problem = error.args[0] if isinstance(error, KeyError) and error.args else error
        raise ExpressionError(str(problem), node.start) from error

    def _at(self, node: Node, get: Callable[[], int]) -> Callable[[], int]:
        """A value whose errors are said to be at a node."""

        def read() -> int:
            try:
                return get()
            except ExpressionError:
                raise
            except (OsmiaError, ValueError) as error:
                self._refuse(error, node)

        return read

    def _text(self, node: Node) -> str:
        return self._source[node.start : node.end]

    def _bound(self, node: Node) -> Operand:
        match node:
            case Literal():
                return Number(self._text(node), node.kind, lambda: node.value)
            case Text():
                return Plain(self._text(node), lambda: node.value.decode("utf-8", "replace"))
            case Name():
                return self._name(node)
            case Member():
                return self._member(node)
            case Index():
                return self._element(node)
            case Unary():
                return self._unary(node)
            case Binary():
                return self._binary(node)
            case Conditional():
                return self._conditional(node)
            case Cast():
                return self._cast(node)
            case SizeOf():
                return self._size(node, self._scope.types.of(node.type))
            case Call():
                given = [self.operand(each) for each in node.arguments]
                return self._called(node, given)
            case Initialiser():
                return Plain(self._text(node), lambda: self._initialised(node))

    # Names, members, elements.

    def _name(self, node: Name) -> Operand:
        found = self._scope.find(node.name)
        if found is None:
            raise ExpressionError(f"there is no {node.name!r} here", node.start)
        return found

    def _member(self, node: Member) -> Operand:
        base = self.operand(node.base)
        if isinstance(base, Plain):
            return base.named(node.name)
        held = base if isinstance(base, Located) and base.kind.is_composite else None
        if held is None or held.kind.is_array:
            held = self._followed(base, node)
        found = held
        place = next((each for each in held.kind.members() if each.name == node.name), None)
        if place is None:
            raise ExpressionError(
                f"{held.kind.name} has no member {node.name!r}", node.end - len(node.name)
            )
        return Located(
            self._text(node),
            place.type,
            lambda: found.variable().member(node.name),
            place.bits,
        )

    def _element(self, node: Index) -> Operand:
        base = self.operand(node.base)
        if isinstance(base, Plain):
            index = self._python(node.subscript)
            return base.at(index)
        inner = self.operand(node.subscript)
        if not base.points and inner.points:
            base, inner = inner, base
        text = self._text(node)
        if not isinstance(base, Located) or not base.kind.is_array:
            return self._offset(base, inner, node, text)
        held, kind = base, base.kind

        def find() -> Any:
            number = inner.number()
            if not 0 <= number < kind.count:
                raise ExpressionError(f"{held.text} has no element {number}", node.subscript.start)
            return held.variable().member(f"[{number}]")

        return Located(text, kind.element(0).type, find)

    def _offset(self, base: Operand, index: Operand, node: Index, text: str) -> Located:
        """What is so many elements behind where a pointer points to."""
        target, _ = self._pointed(base, node)
        size = size_of(target, node.start)
        find = self._at(node, lambda: base.number() + size * index.number())
        return in_memory(text, target, find, self._scope.memory)

    def _python(self, node: Node) -> Any:
        """A key of a map as Python has it."""
        operand = self.operand(node)
        return operand.number() if operand.points else operand.python()

    def _initialised(self, node: Initialiser) -> Any:
        """An initialiser as Python has it: a dictionary, or a list."""
        values = [
            self._initialised(each) if isinstance(each, Initialiser) else self._python(each)
            for _, each in node.items
        ]
        if any(name for name, _ in node.items):
            if not all(name for name, _ in node.items):
                raise ExpressionError("some of the values have no names", node.start)
            return {name: value for (name, _), value in zip(node.items, values, strict=True)}
        return values

    # Pointers.

    def _pointed(self, operand: Operand, node: Node) -> tuple[CType, Operand]:
        """What a pointer points to. ExpressionError for what does not, or nobody knows to what."""
        target = operand.target
        if isinstance(operand, Register) and operand.points_to:
            target = self._scope.types.find(operand.points_to)
        if target is None:
            what = "is no pointer"
            if operand.points or operand.integer == UNSIGNED_LONG:
                what = "points to nothing that has a type: cast it, *(u32 *)…"
            raise ExpressionError(f"{operand.text} {what}", node.start)
        return target, operand

    def _followed(self, operand: Operand, node: Node) -> Located:
        target, _ = self._pointed(operand, node)
        find = self._at(node, operand.number)
        return in_memory(f"*{operand.text}", target, find, self._scope.memory)

    def _unary(self, node: Unary) -> Operand:
        text = self._text(node)
        if node.operator == "sizeof":
            return self._size_of(node)
        inner = self.operand(node.operand)
        if node.operator == "*":
            found = self._followed(inner, node.operand)
            found.text = text
            return found
        if node.operator == "&":
            return self._address(inner, node)
        if node.operator == "!":
            return arithmetic.negated(text, inner)
        return arithmetic.unary(text, node.operator, inner)

    def _address(self, inner: Operand, node: Unary) -> Operand:
        if not isinstance(inner, Located) or inner.bits:
            what = "a bitfield" if isinstance(inner, Located) else inner.text
            raise ExpressionError(f"{what} has no address", node.start)
        find = self._at(node, inner.address)
        return Address(self._text(node), inner.kind, find, self._scope.memory)

    # Operators.

    def _binary(self, node: Binary) -> Operand:
        text, left, right = self._text(node), self.operand(node.left), self.operand(node.right)
        made = arithmetic.binary(text, node.operator, left, right, self._scope.memory)
        if isinstance(made, Number):
            return Number(text, made.integer, self._at(node, made.number))
        return made

    def _conditional(self, node: Conditional) -> Operand:
        condition = self.operand(node.condition)
        yes = condition if node.yes is None else self.operand(node.yes)
        no = self.operand(node.no)
        return arithmetic.conditional(self._text(node), condition, yes, no, self._scope.memory)

    def _cast(self, node: Cast) -> Operand:
        inner, kind = self.operand(node.operand), self._scope.types.of(node.type)
        text = self._text(node)
        if kind is None:
            raise ExpressionError("a cast to void has no value", node.start)
        if kind.is_pointer:
            return Address(text, kind.target(), self._at(node, inner.number), self._scope.memory)
        integer = integer_of(kind)
        if integer is None:
            raise ExpressionError(f"{kind.name} is nothing to cast to", node.start)
        find = self._at(node, lambda: wrapped(inner.number(), integer))
        return Number(text, integer, find)

    def _size_of(self, node: Unary) -> Operand:
        if isinstance(node.operand, Name) and self._scope.find(node.operand.name) is None:
            inner = node.operand
            words = TypeWords(inner.start, inner.end, inner.name, 0)
            return self._size(node, self._scope.types.of(words))
        found = self.operand(node.operand)
        if isinstance(found, Located) and found.bits:
            raise ExpressionError("a bitfield has no size in bytes", node.start)
        return self._size(node, found.kind)

    def _size(self, node: Node, kind: CType | None) -> Operand:
        size = size_of(kind, node.start) if kind is not None else 1
        return Number(self._text(node), UNSIGNED_LONG, lambda: size)

    def _called(self, node: Call, given: list[Operand]) -> Operand:
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise ExpressionError(
                f"there is no function {node.name!r}: {', '.join(FUNCTIONS)}", node.start
            )
        return function(self._text(node), given, self._scope)
