"""The words of a C expression, each with its place, and what goes wrong at one."""

from __future__ import annotations

import re

from osmia.debugger.errors import DebuggerError
from osmia.named_tuples import NamedTuple

LONGEST = 4096
"""Characters of an expression."""

_WORDS = re.compile(
    r"""\s*(?:(?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
    |(?P<name>\$?[A-Za-z_]\w*)
    |(?P<character>'(?:\\.|[^'\\])*')
    |(?P<string>"(?:\\.|[^"\\])*")
    |(?P<operator><<=|>>=|->|\+\+|--|&&|\|\||<<|>>|[-+*/%&|^=!<>]=|[-+*/%&|^~!<>=?:.,()\[\]{}])
    |(?P<end>$))""",
    re.VERBOSE | re.ASCII,
)
ASSIGNMENTS = frozenset(["=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="])
_OPEN, _CLOSE = "([{", ")]}"
_ESCAPES = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11, "e": 27}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]+)|([0-7]{1,3})|(.))|(.)", re.DOTALL)


class ExpressionError(DebuggerError):
    """What is wrong with an expression; `start` is where, in characters from 0."""

    def __init__(self, message: str, start: int) -> None:
        super().__init__(message)
        self.problem = message
        self.start = start


class Token(NamedTuple):
    """A word: its kind ("number", "name", "character", "string", "operator", "end"), and where it
    starts and ends."""

    kind: str
    text: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """The words of an expression, the last of them the end. ExpressionError."""
    if len(text) > LONGEST:
        raise ExpressionError(f"more than {LONGEST} characters", LONGEST)
    found: list[Token] = []
    at = 0
    while not found or found[-1].kind != "end":
        match = _WORDS.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            what = "a quote that does not end" if text[at] in "\"'" else f"{text[at]!r} is not C"
            raise ExpressionError(what, at)
        kind = match.lastgroup or ""
        found.append(Token(kind, match[kind], match.start(kind), match.end()))
        at = match.end()
    return found


def split_assignment(text: str) -> tuple[str, str, str] | None:
    """The target of an assignment, its operator ("" for a plain "=") and the value; None where
    nothing is assigned outside of brackets."""
    depth = 0
    for token in tokens(text):
        if token.kind != "operator":
            continue
        depth += (token.text in _OPEN) - (token.text in _CLOSE)
        if not depth and token.text in ASSIGNMENTS:
            return text[: token.start].strip(), token.text[:-1], text[token.end :].strip()
    return None


def unquoted(token: Token) -> bytes:
    """What a character or string literal says. ExpressionError."""
    found = bytearray()
    for match in _ESCAPE.finditer(token.text[1:-1]):
        hexadecimal, octal, escaped, letter = match.groups()
        if letter is not None:
            found += letter.encode()
            continue
        number = int(hexadecimal, 16) if hexadecimal else int(octal, 8) if octal else None
        if number is None:
            number = _ESCAPES.get(escaped, ord(escaped))
        if number > 0xFF:
            raise ExpressionError(
                f"{match[0]} is more than a byte", token.start + 1 + match.start()
            )
        found.append(number)
    return bytes(found)
