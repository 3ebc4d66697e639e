"""What C's operators make of operands: numbers, pointers, comparisons."""

from __future__ import annotations

from osmia.debugger.dwarf.c_types import CType
from osmia.debugger.errors import DebuggerError
from osmia.debugger.expressions.integers import (
    COMPARISONS,
    INT,
    LONG,
    SHIFTS,
    UNSIGNED_LONG,
    Integer,
    common,
    operate,
    promoted,
    wrapped,
)
from osmia.debugger.expressions.operands import Address, Located, Memory, Number, Operand, Plain


def unary(text: str, symbol: str, operand: Operand) -> Number:
    """`-`, `+` and `~`."""
    kind = promoted(_integer(operand))
    match symbol:
        case "-":
            return Number(text, kind, lambda: wrapped(-operand.number(), kind))
        case "~":
            return Number(text, kind, lambda: wrapped(~operand.number(), kind))
        case _:
            return Number(text, kind, operand.number)


def negated(text: str, operand: Operand) -> Number:
    """`!`."""
    return Number(text, INT, lambda: int(not operand.truth()))


def binary(text: str, symbol: str, left: Operand, right: Operand, memory: Memory) -> Operand:
    """An operator between two operands. DebuggerError for those that it does not go with."""
    if symbol == "&&":
        return Number(text, INT, lambda: int(left.truth() and right.truth()))
    if symbol == "||":
        return Number(text, INT, lambda: int(left.truth() or right.truth()))
    if symbol in COMPARISONS:
        return _compared(text, symbol, left, right)
    if left.points or right.points:
        return _moved(text, symbol, left, right, memory)
    kinds = _integer(left), _integer(right)
    if symbol in SHIFTS:
        kind = promoted(kinds[0])
        return Number(text, kind, lambda: operate(symbol, left.number(), right.number(), kind))
    kind = common(*kinds)
    return Number(
        text,
        kind,
        lambda: operate(symbol, wrapped(left.number(), kind), wrapped(right.number(), kind), kind),
    )


def _integer(operand: Operand) -> Integer:
    found = operand.integer
    if found is None:
        operand.number()  # which may know better why it is none
        raise DebuggerError(f"{operand.text} is no number")
    return found


def _compared(text: str, symbol: str, left: Operand, right: Operand) -> Number:
    compare = COMPARISONS[symbol]
    if symbol in ("==", "!=") and (_is_text(left) or _is_text(right)):
        return Number(text, INT, lambda: int(compare(_as_text(left), _as_text(right))))  # type: ignore[arg-type]
    if left.points or right.points:
        kind = UNSIGNED_LONG
    else:
        kind = common(_integer(left), _integer(right))
    return Number(
        text,
        INT,
        lambda: int(compare(wrapped(left.number(), kind), wrapped(right.number(), kind))),
    )


def _is_text(operand: Operand) -> bool:
    return isinstance(operand, Plain) and isinstance(operand.python(), str | bytes)


def _as_text(operand: Operand) -> bytes:
    """Text, or what an array of characters has before its end, to compare."""
    if isinstance(operand, Located) and operand.kind.is_array:
        return operand.variable().raw.partition(b"\0")[0]
    value = operand.python()
    if isinstance(value, str | bytes):
        return value.encode() if isinstance(value, str) else value.rstrip(b"\0")
    raise DebuggerError(f"{operand.text} is no text")


def _moved(text: str, symbol: str, left: Operand, right: Operand, memory: Memory) -> Operand:
    """Pointers: so many elements on or back, or the elements between two."""
    if symbol == "-" and left.points and right.points:
        size = _step(left.target)
        return Number(text, LONG, lambda: operate("/", left.number() - right.number(), size, LONG))
    if symbol == "+" and not left.points:
        left, right = right, left
    if symbol not in ("+", "-") or right.points:
        raise DebuggerError(f"{symbol} is not for pointers")
    _integer(right)
    size, sign = _step(left.target), 1 if symbol == "+" else -1
    return Address(text, left.target, lambda: left.number() + sign * size * right.number(), memory)


def _step(target: CType | None) -> int:
    """How far apart elements are that a pointer leads to; of void, bytes."""
    return target.size or 1 if target is not None else 1


def conditional(
    text: str, condition: Operand, yes: Operand, no: Operand, memory: Memory
) -> Operand:
    """`condition ? yes : no`."""

    def chosen() -> Operand:
        return yes if condition.truth() else no

    if yes.points or no.points:
        pointer = yes if yes.points else no
        return Address(text, pointer.target, lambda: chosen().number(), memory)
    kinds = yes.integer, no.integer
    if kinds[0] is None or kinds[1] is None:
        return Plain(text, lambda: chosen().python())
    kind = common(kinds[0], kinds[1])
    return Number(text, kind, lambda: wrapped(chosen().number(), kind))
