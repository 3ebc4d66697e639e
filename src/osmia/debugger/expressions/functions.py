"""What expressions may call: `u32(address)` and its like read memory, the others compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from osmia.debugger.errors import DebuggerError
from osmia.debugger.expressions.integers import INT, UNSIGNED_LONG, Integer, common, wrapped
from osmia.debugger.expressions.names import Scope
from osmia.debugger.expressions.operands import Number, Operand, Plain, in_memory
from osmia.debugger.expressions.types import basic_type

MOST_BYTES = 1 << 20
"""Of memory at once."""
Function = Callable[[str, list[Operand], Scope], Operand]


def _arguments(text: str, given: list[Operand], count: int) -> None:
    if len(given) != count:
        name = text.partition("(")[0]
        raise DebuggerError(f"{name} takes {count} arguments, not {len(given)}")


def _reader(name: str) -> Function:
    def read(text: str, given: list[Operand], scope: Scope) -> Operand:
        _arguments(text, given, 1)
        return in_memory(text, basic_type(name), given[0].number, scope.memory)

    return read


def _memory(text: str, given: list[Operand], scope: Scope) -> Operand:
    _arguments(text, given, 2)

    def read() -> bytes:
        size = given[1].number()
        if size > MOST_BYTES:
            raise DebuggerError(f"{size} bytes: {MOST_BYTES} at once are the most")
        return scope.session.memory(given[0].number(), size)

    return Plain(text, read)


def _length(text: str, given: list[Operand], scope: Scope) -> Operand:
    _arguments(text, given, 1)
    return Number(text, UNSIGNED_LONG, lambda: len(given[0].python()))


def _absolute(text: str, given: list[Operand], scope: Scope) -> Operand:
    _arguments(text, given, 1)
    kind = common(_kind(given[0]), INT)
    return Number(text, kind, lambda: wrapped(abs(given[0].number()), kind))


def _extreme(choose: Callable[[list[int]], int]) -> Function:
    def find(text: str, given: list[Operand], scope: Scope) -> Operand:
        if not given:
            raise DebuggerError("the most, or least, of nothing")
        kind = INT
        for each in given:
            kind = common(kind, _kind(each))
        return Number(text, kind, lambda: choose([wrapped(each.number(), kind) for each in given]))

    return find


def _kind(operand: Operand) -> Integer:
    if operand.integer is None:
        raise DebuggerError(f"{operand.text} is no number")
    return operand.integer


READERS = tuple(f"{sign}{8 * size}" for sign in "us" for size in (1, 2, 4, 8))
FUNCTIONS: Mapping[str, Function] = {
    **{name: _reader(name) for name in READERS},
    "memory": _memory,
    "len": _length,
    "abs": _absolute,
    "min": _extreme(min),
    "max": _extreme(max),
}
