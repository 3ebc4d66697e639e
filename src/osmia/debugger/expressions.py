"""Expressions over a run that stands still: Python's, with C's operators where they differ.

    limit > 3 && u16(packet.data + 12) == 0x0800
    flows[1].bytes, cfg.ports[0], *(u32 *)(r10 - 8), ctx->mark, *known

Names are, in this order: registers (`r0` to `r10`, numbers), local variables, `ctx`, `packet`,
global variables, maps. `u8` to `u64`, `s8` to `s64` and `memory(address, size)` read memory. `/`
divides integers as C does. They are the user's own words, run as such: no sandbox.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from osmia.debugger.entries import store_entry
from osmia.debugger.errors import DebuggerError
from osmia.debugger.frames import NAMES, Frame, NoValue
from osmia.errors import OsmiaError

if TYPE_CHECKING:
    from types import CodeType

    from osmia.debugger.session import Session
    from osmia.debugger.values import Variable

_WORDS = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |\*\s*\(\s*(?:const\s+)?(?P<cast>(?:__)?[us]\d+|(?:unsigned\s+)?(?:char|short|int|long(?:\s+long)?)|u?int\d+_t)\s*\*\s*\)\s*(?P<operand>\w+|(?=\())
    |(?P<number>0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)[uUlL]*\b
    |\$?(?P<word>[A-Za-z_]\w*)
    |(?P<operator>&&|\|\||->|!=|!|//|/|\*\*?|\+)
    """,
    re.VERBOSE,
)
_OPERATORS = {"&&": " and ", "||": " or ", "->": ".", "!": " not "}
_OF_EXPRESSIONS = frozenset(
    ["and", "or", "not", "in", "is", "if", "else", "for", "lambda", "None", "True", "False"]
)
"""Python's keywords that an expression may have; a member may be called so, too, as by others."""
_FOLLOWED, _DIVIDED, _REMAINDER = "*", "/", "%"
"""The names, in the trees of expressions, of what follows a pointer, and of what divides as C."""
_BEFORE_OPERANDS = "(,[=<>!&|+-*/%^~?:"
_CONSTANTS = {"NULL": "None", "true": "True", "false": "False"}
_C_SIZES = {"char": 1, "short": 2, "int": 4, "long": 8}
_BUILTINS = {each.__name__: each for each in (abs, bytes, hex, int, len, max, min)}
_OF_THE_RUN = ("ctx", "packet")
"""What a run has under these names, where no local variable of such a name has a value."""
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
        before = text[: found.start()].rstrip()
        if found["word"]:
            of_what = before.endswith((".", "->"))
            return _identifier(_CONSTANTS.get(found["word"], found["word"]), of_what)
        if found["operator"][0] in "*+" and before[-1:] in _BEFORE_OPERANDS:
            # Python's unary plus, which C's programs have no use for, binds as this does.
            return "+" * found["operator"].count("*")
        return _OPERATORS.get(found["operator"], found["operator"])

    return _WORDS.sub(word, text).strip()


def _identifier(word: str, is_member: bool) -> str:
    """A name in C as one in Python: `class_` where Python has a keyword, as values have it."""
    if not keyword.iskeyword(word) or (not is_member and word in _OF_EXPRESSIONS):
        return word
    return f"{word}_"


def plain(name: str) -> str:
    """The name in C of what `to_python` named."""
    return name[:-1] if name.endswith("_") and keyword.iskeyword(name[:-1]) else name


class _AsInC(ast.NodeTransformer):
    """Makes calls of what means something else in C: `*pointer`, for which `to_python` wrote a
    unary plus, and divisions."""

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.op, ast.UAdd):
            return node
        return _call(_FOLLOWED, node, node.operand)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        match node.op:
            case ast.Div():
                return _call(_DIVIDED, node, node.left, node.right)
            case ast.Mod():
                return _call(_REMAINDER, node, node.left, node.right)
        return node


def _call(name: str, node: ast.expr, *arguments: ast.expr) -> ast.expr:
    called = ast.copy_location(ast.Name(name, ast.Load()), node)
    return ast.copy_location(ast.Call(called, list(arguments), []), node)


class Expression:
    """An expression, compiled. DebuggerError for what is none."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        try:
            self.tree: ast.Expression = _AsInC().visit(ast.parse(to_python(self.text), mode="eval"))
            self._code: CodeType = compile(self.tree, f"<{self.text}>", "eval")
        except SyntaxError as error:
            raise DebuggerError(f"{self.text!r} is no expression: {error.msg}") from None
        except ValueError as error:
            raise DebuggerError(f"{self.text!r} is no expression: {error}") from None

    @property
    def names(self) -> frozenset[str]:
        """The names in it."""
        found = {plain(each.id) for each in ast.walk(self.tree) if isinstance(each, ast.Name)}
        return frozenset(found - set(_OPERATIONS))

    def value(self, session: Session, frame: Frame | None) -> Any:
        """Its value in a frame. DebuggerError says what has none."""
        return _value(self._code, self.text, session, frame)


def _value(code: CodeType, text: str, session: Session, frame: Frame | None) -> Any:
    try:
        return eval(code, {"__builtins__": {}}, Names(session, frame))
    except OsmiaError as error:
        if isinstance(error, DebuggerError):
            raise
        raise DebuggerError(f"{text}: {error}") from error
    except Exception as error:
        raise DebuggerError(f"{text}: {_reason(error)}") from error


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
        session, frame, name = self._session, self._frame, plain(name)
        if name in NAMES and frame is not None:
            value = frame.registers[name].value
            if value is None:
                raise DebuggerError(f"{name} is not written yet")
            return value
        if frame is not None and name in frame.locals:
            value = frame.locals[name]
            if name not in _OF_THE_RUN or not isinstance(value, NoValue):
                return value
        if name in _OF_THE_RUN:
            return getattr(session, name)
        if name in session.data:
            return session.data[name]
        if name in session.maps:
            return session.maps[name]
        if name in READERS:
            return _reader(session, *READERS[name])
        if name in _OPERATIONS:
            return _OPERATIONS[name]
        if name == "memory":
            return session.memory
        return _BUILTINS[name]

    def __iter__(self) -> Iterator[str]:
        frame_names = NAMES if self._frame is not None else ()
        known = [*frame_names, *(self._frame.locals if self._frame else ())]
        yield from known
        yield from (*_OF_THE_RUN, "memory")
        yield from (*self._session.data, *self._session.maps, *READERS, *_BUILTINS)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _reader(session: Session, size: int, with_sign: bool) -> Callable[[int], int]:
    def read(address: int) -> int:
        return int.from_bytes(session.memory(address, size), "little", signed=with_sign)

    return read


def _followed(pointer: Any) -> Any:
    """What a pointer points to."""
    from osmia.debugger.local_variables import value_of

    return value_of(_pointer(pointer).pointed())


def _pointer(value: Any) -> Variable:
    """The variable that holds a pointer."""
    from osmia.debugger.local_variables import PointerValue

    if isinstance(value, PointerValue):
        return value.variable
    if isinstance(value, NoValue):
        raise DebuggerError(f"the pointer {value}")
    raise DebuggerError("what is there has no type that is known: u32(ADDRESS) reads memory")


def _divided(left: Any, right: Any) -> Any:
    """A quotient as in C: of integers, what is behind the point is left out."""
    if not isinstance(left, int) or not isinstance(right, int):
        return left / right
    found = abs(left) // abs(right)
    return found if (left < 0) == (right < 0) else -found


def _remainder(left: Any, right: Any) -> Any:
    if not isinstance(left, int) or not isinstance(right, int):
        return left % right
    return left - right * _divided(left, right)


_OPERATIONS = {_FOLLOWED: _followed, _DIVIDED: _divided, _REMAINDER: _remainder}


def assign(session: Session, frame: Frame | None, target: str, value: Any) -> None:
    """Assign to what an expression names: a register, a local or global variable or a member of
    one, a map's entry, memory (`u32(r1 + 4)`), the packet. DebuggerError for anything else."""
    wanted = Expression(target)
    try:
        _store(session, frame, wanted.tree.body, value)
    except (DebuggerError, TypeError, LookupError, ValueError, AttributeError) as error:
        if isinstance(error, DebuggerError):
            raise
        raise DebuggerError(f"{target}: {_reason(error)}") from error


def _store(session: Session, frame: Frame | None, node: ast.expr, value: Any) -> None:
    match node:
        case ast.Name(name):
            _store_name(session, frame, plain(name), value)
        case ast.Attribute(base, member):
            held = _held(session, frame, base)
            if isinstance(held, int):
                _pointer(held).member(plain(member)).assign(value)
            else:
                _store(session, frame, base, held.replace(**{member: value}))
        case ast.Subscript(ast.Name(name), index) if name in session.maps:
            store_entry(session, name, _held(session, frame, index), value)
        case ast.Subscript(base, index):
            held, number = _held(session, frame, base), _held(session, frame, index)
            if isinstance(held, int):
                _pointer(held).member(f"[{number}]").assign(value)
                return
            changed = list(held)
            if not -1 < number < len(changed):
                raise DebuggerError(f"{ast.unparse(base)} has no element {number}")
            changed[number] = value
            _store(session, frame, base, bytes(changed) if isinstance(held, bytes) else changed)
        case ast.Call(ast.Name(name), [pointer]) if name == _FOLLOWED:
            _pointer(_held(session, frame, pointer)).pointed().assign(value)
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
    text = ast.unparse(node)
    code = compile(ast.Expression(node), f"<{text}>", "eval")
    return _value(code, text, session, frame)
