"""Functions that write many values of one type, generated for the type: a map has a million rows.

`texts(codec, notation)` takes the bytes of values that lie one after the other and gives their
texts; `cells` their rows in a table. The bytes are unpacked by the `struct` module, all numbers of
a value at once, and written by one f-string. In the source stand numbers, literals by `repr` and
names that are made here: whatever BTF calls its members is data.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from osmia.cli.notation import Notation
from osmia.cli.typed_text import has_columns
from osmia.summaries.names import name_kind
from osmia.values import ArrayCodec, Codec, StructCodec
from osmia.values.base import Buffer
from osmia.values.fields import Bits, Field
from osmia.values.scalars import ScalarCodec

#: The texts of the values in a buffer.
Texts: TypeAlias = Callable[[Buffer], list[str]]
#: Their cells: numbers where that is all there is to a cell, else text.
Cells: TypeAlias = Callable[[Buffer], list[tuple[Any, ...]]]

#: Arrays of no more numbers are written out; types of more values are decoded one by one.
_MOST_WRITTEN_OUT, HEAVIEST = 8, 600

_INTEGER_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}

#: Literal text, and expressions of the generated function.
_Parts: TypeAlias = list["str | _Expression"]


class _Expression(str):
    """What stands between the braces of an f-string."""

    __slots__ = ()


def texts(codec: Codec, notation: Notation, stride: int = 0) -> Texts:
    """The function for a type of at least a byte; values start each `stride` bytes where that is
    more than the type has."""
    writer = _Writer(codec, notation, stride)
    return writer.compiled(_string(writer.parts(codec, 0)))


def cells(codec: Codec, notation: Notation, stride: int = 0) -> Cells:
    """The same for tables: a small struct's members have a cell each."""
    writer = _Writer(codec, notation, stride)
    if isinstance(codec, StructCodec) and has_columns(codec):
        each = [writer.member(field, 0) for field in codec.fields]
    else:
        each = [writer.parts(codec, 0, outermost=True)]
    return writer.compiled(f"({''.join(f'{_cell(parts)}, ' for parts in each)})")


class _Writer:
    """The source of one function, in the making."""

    def __init__(self, codec: Codec, notation: Notation, stride: int = 0) -> None:
        self._notation = notation
        self._size, self._order = stride or codec.size, codec.order
        #: Several, as members of unions lie over each other: fields by offset, (size, code, name).
        self._layers: list[dict[int, tuple[int, str, str]]] = []
        self._read: dict[tuple[int, int, str], str] = {}
        self._names: dict[str, Any] = {}

    def compiled(self, expression: str) -> Callable[[Buffer], list[Any]]:
        """The function that gives what `expression` is for each value of a buffer."""
        formats = [self._format(layer) for layer in self._layers] or [f"{self._size}x"]
        self._names |= {
            f"unpack{i}": struct.Struct(self._order + each).iter_unpack
            for i, each in enumerate(formats)
        }
        unpacked = [f"unpack{i}(data)" for i in range(len(formats))]
        targets = [
            f"({''.join(f'{name}, ' for _, (_, _, name) in sorted(layer.items()))})"
            for layer in self._layers
        ] or ["_"]
        walk = f"zip({', '.join(unpacked)})" if len(unpacked) > 1 else unpacked[0]
        exec(
            f"def write(data):\n    return [{expression} for {', '.join(targets)} in {walk}]",
            self._names,
        )
        function: Callable[[Buffer], list[Any]] = self._names["write"]
        return function

    def parts(self, codec: Codec, offset: int, *, outermost: bool = False) -> _Parts:
        """The text of the value at `offset`."""
        if not codec.size:
            return [self._notation.of_bytes(codec)(b"")]
        if type(codec) is StructCodec and codec.weight <= HEAVIEST:
            return self._struct(codec, offset, outermost)
        if type(codec) is ArrayCodec:
            return self._array(codec, offset)
        if isinstance(codec, ScalarCodec):
            variable = self._variable(offset, codec.size, codec.code)
            if (written := self._number(codec, variable)) is not None:
                return [written]
        variable = self._variable(offset, codec.size, f"{codec.size}s")
        write = self._notation.of_bytes(codec, outermost=outermost)
        return [_Expression(f"{self._named(write)}({variable})")]

    def member(self, field: Field, base: int) -> _Parts:
        """The text of a struct's member."""
        naming = name_kind(field.name, field.codec) if self._notation.names_numbers else None
        if field.bits is not None:
            parts: _Parts = [self._bitfield(field, field.bits, base)]
        else:
            parts = self.parts(field.codec, base + field.offset)
        if naming is None:
            return parts
        return [_Expression(f"{self._named(naming)}({parts[0]}) or {parts[0]}")]

    def _struct(self, codec: StructCodec, offset: int, outermost: bool) -> _Parts:
        opening, closing = ("", "") if outermost else self._notation.braces
        parts: _Parts = [opening]
        for index, field in enumerate(codec.fields):
            parts += [self._notation.opening(field.name, not index), *self.member(field, offset)]
        return [*parts, closing]

    def _array(self, codec: ArrayCodec, offset: int) -> _Parts:
        between, element = self._notation.between, codec.element
        if isinstance(element, ScalarCodec) and codec.count <= _MOST_WRITTEN_OUT:
            parts: _Parts = ["["]
            for index in range(codec.count):
                parts += [between] if index else []
                parts += self.parts(element, offset + index * element.size)
            return [*parts, "]"]
        each = texts(element, self._notation)
        name = self._named(lambda data: f"[{between.join(each(data))}]")
        variable = self._variable(offset, codec.size, f"{codec.size}s")
        return [_Expression(f"{name}({variable})")]

    def _bitfield(self, field: Field, bits: Bits, base: int) -> _Expression:
        offset = base + bits.offset
        if code := _INTEGER_CODES.get(bits.size):
            word = self._variable(offset, bits.size, code)
        else:
            order = field.codec.byteorder
            word = self._variable(offset, bits.size, f"{bits.size}s")
            word = f"{self._named(lambda data: int.from_bytes(data, order))}({word})"
        value = f"({word} >> {bits.shift} & {bits.mask})"
        if bits.signed:
            sign = 1 << bits.width - 1
            value = f"(({value} ^ {sign}) - {sign})"
        elif field.codec.code == "?":
            value = f"bool{value}"
        written = self._number(field.codec, value)
        if written is None:
            written = _Expression(f"{self._named(self._notation.of_value(field.codec))}({value})")
        return written

    def _number(self, codec: Codec, variable: str) -> _Expression | None:
        found = self._notation.number(codec)
        if found is None:
            return None
        expression, rule = found
        if rule is not None:
            expression = expression.replace("rule", self._named(rule))
        return _Expression(expression.format(variable))

    def _variable(self, offset: int, size: int, code: str) -> str:
        """The name of what `struct` unpacks there."""
        known = self._read.get((offset, size, code))
        if known is None:
            known = self._read[offset, size, code] = f"v{len(self._read)}"
            self._layer_with_room(offset, size)[offset] = (size, code, known)
        return known

    def _layer_with_room(self, offset: int, size: int) -> dict[int, tuple[int, str, str]]:
        for layer in self._layers:
            if all(offset + size <= at or at + there[0] <= offset for at, there in layer.items()):
                return layer
        self._layers.append({})
        return self._layers[-1]

    def _format(self, layer: dict[int, tuple[int, str, str]]) -> str:
        text, end = "", 0
        for offset, (size, code, _) in sorted(layer.items()):
            text += f"{offset - end}x{code}" if offset > end else code
            end = offset + size
        return f"{text}{self._size - end}x" if end < self._size else text

    def _named(self, thing: Any) -> str:
        name = f"n{len(self._names)}"
        self._names[name] = thing
        return name


def _string(parts: Iterable[str | _Expression]) -> str:
    """Source of the whole text: literals and f-strings in a row are one to Python."""
    pieces = [f"f'{{{part}}}'" if isinstance(part, _Expression) else repr(part) for part in parts]
    return " ".join(pieces)


def _cell(parts: _Parts) -> str:
    """Source of a cell: the number itself where the text is nothing but a number."""
    if len(parts) == 1 and isinstance(parts[0], _Expression) and parts[0].isidentifier():
        return parts[0]
    return _string(parts)
