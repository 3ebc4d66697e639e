"""C's integers: literals, promotions, conversions, and what operators do, as on BPF: int has four
bytes, long and pointers have eight, char has a sign, and what overflows wraps."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping

from osmia.named_tuples import NamedTuple


class Integer(NamedTuple):
    """A type: its bytes, whether with a sign, whether it is _Bool; `bits` are a bitfield's."""

    size: int
    signed: bool
    boolean: bool = False
    bits: int = 0


INT, UNSIGNED, LONG, UNSIGNED_LONG = (
    Integer(size, signed) for size in (4, 8) for signed in (True, False)
)
_LITERAL = re.compile(r"(0[xX][0-9a-fA-F]+|0[bB][01]+|0[0-7]*|[1-9]\d*)([uUlL]*)")
_SUFFIXES = frozenset(["", "u", "l", "ul", "lu", "ll", "ull", "llu"])
COMPARISONS: Mapping[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARITHMETIC: Mapping[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
}
SHIFTS = ("<<", ">>")


def literal(text: str) -> tuple[int, Integer]:
    """The value and the type of an integer literal. ValueError says what is none."""
    found = _LITERAL.fullmatch(text)
    suffix = found[2].lower() if found else ""
    if found is None or suffix not in _SUFFIXES:
        if re.fullmatch(r"[\d.]+([eE][+-]?\d+)?[fFlL]?", text) and set(text) & set(".eE"):
            raise ValueError(f"{text} is a floating-point number, which BPF has not")
        raise ValueError(f"{text} is no number")
    octal = re.fullmatch(r"0[0-7]+", found[1])
    value = int(found[1], 8 if octal else 0)
    decimal = found[1][0] != "0"
    for kind in (INT, UNSIGNED, LONG, UNSIGNED_LONG):
        wrong_sign = kind.signed if "u" in suffix else not kind.signed and decimal
        if not wrong_sign and not ("l" in suffix and kind.size == 4) and fits(value, kind):
            return value, kind
    if not fits(value, UNSIGNED_LONG):
        raise ValueError(f"{text} has more than 64 bits")
    return value, UNSIGNED_LONG


def fits(value: int, kind: Integer) -> bool:
    """Whether a type has a value."""
    return wrapped(value, kind) == value


def wrapped(value: int, kind: Integer) -> int:
    """A value converted to a type."""
    if kind.boolean:
        return int(value != 0)
    bits = 8 * kind.size
    value &= (1 << bits) - 1
    return value - (1 << bits) if kind.signed and value >> (bits - 1) else value


def promoted(kind: Integer) -> Integer:
    """What a type is in an operation: int, where int has all its values."""
    bits = kind.bits or 8 * kind.size
    if kind.size <= 4 and (bits < 32 or kind.signed):
        return INT
    return Integer(kind.size, kind.signed)


def common(left: Integer, right: Integer) -> Integer:
    """What two operands are converted to (the usual arithmetic conversions)."""
    left, right = promoted(left), promoted(right)
    if left.size == right.size:
        return Integer(left.size, left.signed and right.signed)
    return max(left, right)


def operate(symbol: str, left: int, right: int, kind: Integer) -> int:
    """What an operator gives for operands of a type; of a shift `kind` is the left one's.
    ValueError for what C leaves undefined, but for overflows."""
    if symbol in _ARITHMETIC:
        return wrapped(_ARITHMETIC[symbol](left, right), kind)
    if symbol in SHIFTS:
        if not 0 <= right < 8 * kind.size:
            raise ValueError(f"a shift of {8 * kind.size} bits by {right}")
        return wrapped(left << right if symbol == "<<" else left >> right, kind)
    if not right:
        raise ValueError("a division by zero")
    quotient = abs(left) // abs(right)
    if (left < 0) != (right < 0):
        quotient = -quotient
    return wrapped(quotient if symbol == "/" else left - right * quotient, kind)
