"""Expressions over a run that stands still: Python's, with C's operators where they differ.

    limit > 3 && u16(packet.data + 12) == 0x0800
    flows[1].bytes, cfg.ports[0], *(u32 *)(r10 - 8), ctx->mark

Names are, in this order: registers (`r0` to `r10`, numbers), local variables, `ctx`, `packet`,
global variables, maps. `u8` to `u64`, `s8` to `s64` and `memory(address, size)` read memory. `/`
divides integers as C does. They are the user's own words, run as such: no sandbox.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from osmia.debugger.entries import store_entry
from osmia.debugger.errors import DebuggerError
from osmia.debugger.frames import NAMES, Frame
from osmia.errors import OsmiaError

if TYPE_CHECKING:
    from types import CodeType

    from osmia.debugger.session import Session

_WORDS = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |\*\s*\(\s*(?:const\s+)?(?P<cast>(?:__)?[us]\d+|(?:unsigned\s+)?(?:char|short|int|long(?:\s+long)?)|u?int\d+_t)\s*\*\s*\)\s*(?P<operand>\w+|(?=\())
    |(?P<number>0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)[uUlL]*\b
    |\$?(?P<word>[A-Za-z_]\w*)
    |(?P<operator>&&|\|\||->|!=|!|//|/)
    """,
    re.VERBOSE,
)
_OPERATORS = {"&&": " and ", "||": " or ", "->": ".", "!": " not ", "/": "//"}
_CONSTANTS = {"NULL": "None", "true": "True", "false": "False"}
_C_SIZES = {"char": 1, "short": 2, "int": 4, "long": 8}
_BUILTINS = {each.__name__: each for each in (abs, bytes, hex, int, len, max, min)}
READERS = {f"{sign}{8 * size}": (size, sign == "s") for sign in "us" for size in (1, 2, 4, 8)}
"""What reads memory: bytes, and whether with a sign."""


def _cast(text: str) -> str:
    """The reader for a C type: "u32"."""
    words = text.removeprefix("__").split()
    found = re.fullmatch(r"(u?)int(\d+)_t|([us]\d+)", words[0])
    if found:
        return found[3] or ("u" if found[1] else "s") + found[2]
    unsigned = words[0] == "unsigned"
    return ("u" if unsigned else "s") + str(8 * _C_SIZES[words[-1]])


def to_python(text: str) -> str:
    """An expression with C's operators as Python's."""

    def word(found: re.Match[str]) -> str:
        if found["string"] is not None:
            return found["string"]
        if found["cast"]:
            operand = found["operand"]
            return f"{_cast(found['cast'])}" + (f"({operand})" if operand else "")
        if found["number"]:
            number = found["number"]
            octal = re.fullmatch(r"0\d+", number)
            return f"0o{number[1:]}" if octal and number.strip("0") else number
        if found["word"]:
            return _CONSTANTS.get(found["word"], found["word"])
        return _OPERATORS.get(found["operator"], found["operator"])

    return _WORDS.sub(word, text).strip()


class Expression:
    """An expression, compiled. DebuggerError for what is none."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        try:
            self.tree = ast.parse(to_python(self.text), mode="eval")
            self._code: CodeType = compile(self.tree, f"<{self.text}>", "eval")
        except (SyntaxError, ValueError) as error:
            raise DebuggerError(f"{self.text!r} is no expression: {error}") from None

    @property
    def names(self) -> frozenset[str]:
        """The names in it."""
        return frozenset(each.id for each in ast.walk(self.tree) if isinstance(each, ast.Name))

    def value(self, session: Session, frame: Frame | None) -> Any:
        """Its value in a frame. DebuggerError says what has none."""
        try:
            return eval(self._code, {"__builtins__": {}}, Names(session, frame))
        except OsmiaError as error:
            if isinstance(error, DebuggerError):
                raise
            raise DebuggerError(f"{self.text}: {error}") from error
        except Exception as error:
            raise DebuggerError(f"{self.text}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, NameError):
        return f"there is no {error.name!r} here"
    return str(error) or type(error).__name__


class Names(Mapping[str, Any]):
    """What the names of expressions mean in a frame."""

    def __init__(self, session: Session, frame: Frame | None) -> None:
        self._session = session
        self._frame = frame

    def __getitem__(self, name: str) -> Any:
        session, frame = self._session, self._frame
        if name in NAMES and frame is not None:
            value = frame.registers[name].value
            if value is None:
                raise DebuggerError(f"{name} is not written yet")
            return value
        if frame is not None and name in frame.locals:
            return frame.locals[name]
        if name in ("ctx", "packet"):
            return getattr(session, name)
        if name in session.data:
            return session.data[name]
        if name in session.maps:
            return session.maps[name]
        if name in READERS:
            return _reader(session, *READERS[name])
        if name == "memory":
            return session.memory
        return _BUILTINS[name]

    def __iter__(self) -> Iterator[str]:
        frame_names = NAMES if self._frame is not None else ()
        known = [*frame_names, *(self._frame.locals if self._frame else ())]
        yield from known
        yield from ("ctx", "packet", "memory")
        yield from (*self._session.data, *self._session.maps, *READERS, *_BUILTINS)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _reader(session: Session, size: int, with_sign: bool) -> Callable[[int], int]:
    def read(address: int) -> int:
        return int.from_bytes(session.memory(address, size), "little", signed=with_sign)

    return read


def assign(session: Session, frame: Frame | None, target: str, value: Any) -> None:
    """Assign to what an expression names: a register, a local or global variable or a member of
    one, a map's entry, memory (`u32(r1 + 4)`), the packet. DebuggerError for anything else."""
    wanted = Expression(target)
    try:
        _store(session, frame, wanted.tree.body, value)
    except (DebuggerError, TypeError, KeyError, ValueError, AttributeError) as error:
        if isinstance(error, DebuggerError):
            raise
        raise DebuggerError(f"{target}: {_reason(error)}") from error


def _store(session: Session, frame: Frame | None, node: ast.expr, value: Any) -> None:
    match node:
        case ast.Name(name):
            _store_name(session, frame, name, value)
        case ast.Attribute(base, member):
            _store(session, frame, base, _held(session, frame, base).replace(**{member: value}))
        case ast.Subscript(ast.Name(name), index) if name in session.maps:
            store_entry(session, name, _held(session, frame, index), value)
        case ast.Subscript(base, index):
            changed = list(_held(session, frame, base))
            changed[_held(session, frame, index)] = value
            held = _held(session, frame, base)
            _store(session, frame, base, bytes(changed) if isinstance(held, bytes) else changed)
        case ast.Call(ast.Name(name), [address]) if name in READERS:
            size, _ = READERS[name]
            data = (int(value) & ((1 << 8 * size) - 1)).to_bytes(size, "little")
            session.write(_held(session, frame, address), data)
        case _:
            raise DebuggerError(f"nothing can be assigned to {ast.unparse(node)}")


def _store_name(session: Session, frame: Frame | None, name: str, value: Any) -> None:
    if name in NAMES and frame is not None:
        frame.registers[name] = value
    elif frame is not None and name in frame.locals:
        reader = session.variables
        assert reader is not None
        reader.assign(frame, name, value)
    elif name == "packet":
        session.packet = value
    elif name == "ctx":
        session.ctx = value
    elif name in session.data:
        session.data[name] = value
    else:
        raise DebuggerError(f"there is no variable {name!r} here to assign to")


def _held(session: Session, frame: Frame | None, node: ast.expr) -> Any:
    return Expression(ast.unparse(node)).value(session, frame)
