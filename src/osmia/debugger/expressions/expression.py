"""`Expression`: C over a run that stands still.

    limit > 3 && *(u16 *)(data + 12) == 0x0800
    flows[1].bytes, cfg.ports[0], s.next->len, (u8)hash % 4, ctx->mark, sizeof(struct flow)

Integers have C's widths and signs, pointers and members the types that BTF and DWARF give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from osmia.debugger.errors import DebuggerError
from osmia.debugger.expressions.binding import Binding
from osmia.debugger.expressions.grammar import parse
from osmia.debugger.expressions.integers import wrapped
from osmia.debugger.expressions.names import CONSTANTS, Scope
from osmia.debugger.expressions.nodes import Name, parts
from osmia.debugger.expressions.operands import Operand
from osmia.debugger.expressions.tokens import ExpressionError, split_assignment
from osmia.errors import OsmiaError

if TYPE_CHECKING:
    from osmia.debugger.contents import Contents
    from osmia.debugger.frames import Frame
    from osmia.debugger.values import Variable


class Expression:
    """An expression, parsed. DebuggerError for what is none, with the column."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        try:
            self.tree = parse(self.text)
        except ExpressionError as error:
            raise DebuggerError(
                f"{self._shown!r} is no expression: {error.problem} (column {error.start + 1})"
            ) from None

    @property
    def _shown(self) -> str:
        return self.text if len(self.text) <= 80 else self.text[:79] + "…"

    @property
    def names(self) -> frozenset[str]:
        """The names in it that may have other values at other times."""
        return frozenset(
            each.name.removeprefix("$")
            for each in parts(self.tree)
            if isinstance(each, Name) and each.name not in CONSTANTS
        )

    def operand(
        self,
        session: Contents,
        frame: Frame | None,
        variables: Mapping[str, Variable] | None = None,
    ) -> Operand:
        """What it is in a frame, where it is one thing and has a type; `variables` are what is
        local there, without them all that the frame has. DebuggerError."""
        try:
            return Binding(self.text, Scope(session, frame, variables)).operand(self.tree)
        except OsmiaError as error:
            raise self._said(error) from error

    def value(self, session: Contents, frame: Frame | None) -> Any:
        """Its value in a frame. DebuggerError says what has none."""
        found = self.operand(session, frame)
        try:
            return found.python()
        except (OsmiaError, ValueError, TypeError) as error:
            raise self._said(error) from error

    def _said(self, error: Exception) -> DebuggerError:
        if not isinstance(error, ExpressionError):
            return DebuggerError(f"{self._shown}: {error}")
        column = f" (column {error.start + 1})" if error.start else ""
        return DebuggerError(f"{self._shown}: {error.problem}{column}")


def assign(session: Contents, frame: Frame | None, target: str, value: Any) -> None:
    """Assign to what an expression names: a register, a local or global variable or a member of
    one, a map's entry, memory (`*(u32 *)(r1 + 4)`), the packet. DebuggerError for what has no
    place, CodecError and ReadOnlyError for what the place does not take."""
    _assign(session, frame, target, lambda operand: value)


def execute(
    session: Contents,
    frame: Frame | None,
    text: str,
    variables: Mapping[str, Variable] | None = None,
) -> str:
    """Do what an assignment says (`limit += 2`); what it assigned to. Numbers are converted as C
    does. DebuggerError, as for `assign`."""
    try:
        parts = split_assignment(text)
    except ExpressionError as error:
        raise DebuggerError(f"{text}: {error.problem} (column {error.start + 1})") from None
    if parts is None or not parts[0] or not parts[2]:
        raise DebuggerError(f"{text!r} assigns nothing: TARGET = EXPRESSION does")
    target, operator, given = parts
    if operator:
        given = f"({target}) {operator} ({given})"

    def value(operand: Operand) -> Any:
        integer = operand.integer
        try:
            found = Expression(given).operand(session, frame, variables).python()
        except DebuggerError:
            if integer is not None or operator:
                raise
            return given  # text of an array of characters, without quotes
        return found if integer is None or type(found) is not int else wrapped(found, integer)

    _assign(session, frame, target, value, variables)
    return target


def _assign(
    session: Contents,
    frame: Frame | None,
    target: str,
    value: Callable[[Operand], Any],
    variables: Mapping[str, Variable] | None = None,
) -> None:
    wanted = Expression(target)
    found = wanted.operand(session, frame, variables)
    try:
        found.assign(value(found))
    except OsmiaError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = error.args[0] if error.args else type(error).__name__
        raise DebuggerError(f"{wanted.text}: {reason}") from error
