"""How values of types are written, as source for the functions that `formatters` generates.

A notation says what stands for one value: JSON in bpftool's shape (what `json_values.typed`
gives), or text as people read it (what `typed_text` gives). What it has no rule of its own for is
written by those two, so that there is one truth.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, TypeAlias

from osmia.cli.json_values import plain, typed
from osmia.cli.output import printable
from osmia.cli.typed_text import inner_text, typed_text
from osmia.values import BytesCodec, Codec, EnumCodec, IntCodec, PointerCodec, StringCodec
from osmia.values.meant import MeantCodec
from osmia.values.scalars import BoolCodec, FloatCodec

#: How many texts are remembered: `comm` has few different ones.
_REMEMBERED = 4096

#: A function from a value's bytes to its text, or the name of it in generated source.
FromBytes: TypeAlias = Callable[[bytes], str]


class Notation:
    """What is the same in both: where rules are looked up. The methods get the type and give what
    generated code puts between the braces of an f-string, with `{}` for the number that `struct`
    unpacked; names in it are those of `names`."""

    names: dict[str, Any]
    between = ","
    """What separates the elements of an array."""

    def opening(self, name: str, first: bool) -> str:
        """What stands before a member's value in a struct."""
        raise NotImplementedError

    braces = ("{", "}")
    names_numbers = False
    """Whether numbers of signals, users, … are written as names."""

    def number(self, codec: Codec) -> tuple[str, Any] | None:
        """The expression for a scalar, and the object that it calls `rule`; None: no rule."""
        kind = type(codec)
        if kind is IntCodec:
            return "{}", None
        if kind is BoolCodec:
            return "rule[{}]", ("false", "true")
        if isinstance(codec, EnumCodec) and kind is EnumCodec:
            names = codec.type._names.items()
            return "rule({0}, {0})", {
                value: self.enumerator(name) for value, name in names if name
            }.get
        return None

    def enumerator(self, name: str) -> str:
        """An enumerator's name."""
        raise NotImplementedError

    def of_bytes(self, codec: Codec, *, outermost: bool = False) -> FromBytes:
        """The text of any value by its bytes, for types that have no rule."""
        raise NotImplementedError

    def of_value(self, codec: Codec) -> Callable[[Any], str]:
        """The text of a value that is no whole number of bytes: a bitfield."""
        raise NotImplementedError


class Json(Notation):
    """JSON without blanks, as `json_values.typed` says it."""

    def opening(self, name: str, first: bool) -> str:
        return f"{'' if first else ','}{json.dumps(plain(name))}:"

    def number(self, codec: Codec) -> tuple[str, Any] | None:
        if type(codec) is PointerCodec:
            return "{}", None
        if type(codec) is FloatCodec:
            return "rule({})", _json_float
        return super().number(codec)

    def enumerator(self, name: str) -> str:
        return json.dumps(plain(name))

    def of_bytes(self, codec: Codec, *, outermost: bool = False) -> FromBytes:
        decode = codec.decode
        if type(codec) is BytesCodec:
            return _json_bytes
        if type(codec) is StringCodec:
            return Remembered(lambda data: dumps(typed(codec, decode(data), data))).__getitem__
        if isinstance(codec, MeantCodec):
            if codec.kind in ("port", "be"):
                return codec.text_of_bytes
            if codec.kind == "ktime":
                return lambda data: str(decode(data))
            if codec.json_is_quoted_text:
                text = codec.text_of_bytes
                return lambda data: f'"{text(data)}"'
        return lambda data: dumps(typed(codec, decode(data), data))

    def of_value(self, codec: Codec) -> Callable[[Any], str]:
        return lambda value: dumps(typed(codec, value))


class Text(Notation):
    """Text in a table's cell, as `typed_text` says it; without characters that move a cursor."""

    between = ", "
    names_numbers = True

    def opening(self, name: str, first: bool) -> str:
        return f"{'' if first else ' '}{printable(name)}="

    def number(self, codec: Codec) -> tuple[str, Any] | None:
        if type(codec) is PointerCodec:
            return "{}:#x", None
        if type(codec) is FloatCodec:
            return "{}!r", None
        return super().number(codec)

    def enumerator(self, name: str) -> str:
        return printable(name)

    def of_bytes(self, codec: Codec, *, outermost: bool = False) -> FromBytes:
        decode = codec.decode
        if type(codec) is BytesCodec:
            return bytes.hex
        if type(codec) is StringCodec:
            return Remembered(lambda data: printable(inner_text(codec, decode(data)))).__getitem__
        if isinstance(codec, MeantCodec) and codec.kind != "plain":
            return codec.text_of_bytes
        text = typed_text if outermost else inner_text
        return lambda data: printable(text(codec, decode(data)))

    def of_value(self, codec: Codec) -> Callable[[Any], str]:
        return lambda value: printable(inner_text(codec, value))


class Remembered(dict[bytes, str]):
    """Texts by bytes, made by `make` when they are asked for first; the last few thousand."""

    def __init__(self, make: FromBytes) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, data: bytes) -> str:
        if len(self) >= _REMEMBERED:
            self.clear()
        text = self[data] = self._make(data)
        return text


def dumps(value: Any) -> str:
    """JSON without blanks, of what JSON has."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _json_float(value: float) -> str:
    return repr(value) if math.isfinite(value) else dumps(plain(value))


def _json_bytes(data: bytes) -> str:
    return str(list(data)).replace(" ", "")
