"""Arrays: text for `char`, bytes for other bytes, tuples for the rest."""

from __future__ import annotations

import operator
import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from osmia.errors import CodecError
from osmia.values.base import RAW_BYTES, Buffer, ByteOrder, Codec, Decode
from osmia.values.scalars import ScalarCodec

if TYPE_CHECKING:
    import numpy

#: How many elements `initialiser` writes before it says "…".
SHOWN_ELEMENTS = 32

_ESCAPES = {
    ord("\\"): "\\\\",
    ord('"'): '\\"',
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
}


class BytesCodec(Codec):
    """Bytes that are just bytes, such as u8[6]: `bytes`. Sequences of small ints are accepted.

    `signed`: whether the type's elements have a sign, as those of signed char[6].
    """

    signed = False

    def _compile_decoder(self) -> Decode:
        size = self.size

        def decode(buffer: Buffer, offset: int = 0) -> bytes:
            data = bytes(buffer[offset : offset + size])
            if len(data) != size:
                raise self.too_short(buffer, offset)
            return data

        return decode

    def resized(self, count: int) -> Codec:
        """The same with another number of elements, for flexible arrays."""
        return type(self)(count, _renamed(self.type_name, count), self.byteorder)

    @property
    def element_size(self) -> int:
        """Bytes of one element."""
        return 1

    def _encode(self, value: Any) -> bytes:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise self._refuse(value)
        try:
            numbers = [operator.index(each) for each in value]
        except TypeError:
            raise self._refuse(value) from None
        for index, number in enumerate(numbers):
            if not -128 <= number <= 255:
                raise CodecError(f"{number} does not fit a byte", path=f"[{index}]")
        # As C does: a negative element is stored as its two's complement.
        return self._exact_bytes(bytes(number & 0xFF for number in numbers))

    def dtype(self) -> numpy.dtype[Any]:
        from osmia.numpy_extra import numpy as np

        return np.dtype(("u1", (self.size,)))

    def initialiser(self, value: Any) -> str:
        return braces([f"{byte:#04x}" for byte in value[:SHOWN_ELEMENTS]], len(value))


class StringCodec(BytesCodec):
    """char[N]: `str` up to the first NUL. Bytes that are no UTF-8 become surrogates.

    `str` and shorter `bytes` are filled up with NUL; text of exactly N bytes goes without
    one, as in C. `by_name`: the type calls its elements something else than char.
    """

    exact = False
    by_name = False

    def _compile_decoder(self) -> Decode:
        size = self.size

        def decode(buffer: Buffer, offset: int = 0) -> str:
            data = bytes(buffer[offset : offset + size])
            if len(data) != size:
                raise self.too_short(buffer, offset)
            end = data.find(0)
            return (data if end < 0 else data[:end]).decode("utf-8", "surrogateescape")

        return decode

    def encode(self, value: Any) -> bytes:
        """The text, filled up with NUL to the array's size."""
        if isinstance(value, str):
            try:
                data = value.encode("utf-8", "surrogateescape")
            except UnicodeEncodeError as error:
                raise CodecError(
                    f"{value!r:.80} is no text for {self.type_name}: {error}"
                ) from None
        elif isinstance(value, RAW_BYTES):
            data = bytes(value)
        else:
            raise self._refuse(value)
        if len(data) > self.size:
            raise CodecError(f"{value!r:.80} has {len(data)} bytes, {self.type_name} {self.size}")
        return data.ljust(self.size, b"\0")

    def dtype(self) -> numpy.dtype[Any]:
        """Bytes up to trailing NULs ("S"); what follows the first NUL stays visible."""
        from osmia.numpy_extra import numpy as np

        return np.dtype(f"S{self.size}") if self.size else np.dtype(("S1", (0,)))

    def initialiser(self, value: Any) -> str:
        return quoted(value)


class ArrayCodec(Codec):
    """Any other array: a `tuple`, of tuples where it has more dimensions."""

    def __init__(self, element: Codec, count: int, type_name: str, byteorder: ByteOrder) -> None:
        super().__init__(element.size * count, type_name, byteorder)
        self.element = element
        # Elements without size need no bytes: a hostile count must not become a tuple.
        self.count = count if element.size else 0
        self.exact = element.exact
        self.weight = 1 + self.count * element.weight

    @property
    def element_size(self) -> int:
        """Bytes of one element."""
        return self.element.size

    def resized(self, count: int) -> Codec:
        """The same with another number of elements, for flexible arrays."""
        name = _renamed(self.type_name, count)
        return ArrayCodec(self.element, count, name, self.byteorder)

    def _compile_decoder(self) -> Decode:
        if isinstance(self.element, ScalarCodec):
            return self._compile_scalar_decoder(self.element)
        step, end = self.element.size, self.element.size * self.count
        element_decode = self.element.decode

        def decode(buffer: Buffer, offset: int = 0) -> tuple[Any, ...]:
            if offset + end > len(buffer):
                raise self.too_short(buffer, offset)
            starts = range(offset, offset + end, step) if end else ()
            return tuple([element_decode(buffer, start) for start in starts])

        return decode

    def _compile_scalar_decoder(self, element: ScalarCodec) -> Decode:
        unpack_from = struct.Struct(f"{self.order}{self.count}{element.code}").unpack_from
        plain = type(element).from_raw is ScalarCodec.from_raw

        def decode(buffer: Buffer, offset: int = 0) -> tuple[Any, ...]:
            try:
                raw = unpack_from(buffer, offset)
            except struct.error:
                raise self.too_short(buffer, offset) from None
            return raw if plain else tuple(map(element.from_raw, raw))

        return decode

    def _encode(self, value: Any) -> bytes:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise self._refuse(value)
        values: Sequence[Any] = value if isinstance(value, Sequence) else list(value)
        if len(values) != self.count:
            raise CodecError(f"{self.type_name} has {self.count} elements, not {len(values)}")
        encoded = []
        for index, each in enumerate(values):
            try:
                encoded.append(self.element.encode(each))
            except CodecError as error:
                raise CodecError(error.message, path=f"[{index}]{error.path}") from None
        return b"".join(encoded)

    def dtype(self) -> numpy.dtype[Any]:
        from osmia.numpy_extra import numpy as np

        return np.dtype((self.element.dtype(), (self.count,)))

    def initialiser(self, value: Any) -> str:
        shown = [self.element.initialiser(each) for each in value[:SHOWN_ELEMENTS]]
        return braces(shown, len(value))


def quoted(text: str) -> str:
    """Text as C quotes it."""
    return '"' + "".join(map(_c_character, text)) + '"'


def _renamed(type_name: str, count: int) -> str:
    """The name of an array type with its first dimension changed."""
    element, _, rest = type_name.partition("[")
    return f"{element}[{count}{rest[rest.find(']') :]}"


def braces(shown: list[str], total: int) -> str:
    """Elements as C initialises an array of `total`, of which not all may be shown."""
    more = ["…"] if total > len(shown) else []
    return "{" + ", ".join(shown + more) + "}"


def _c_character(character: str) -> str:
    if escape := _ESCAPES.get(ord(character)):
        return escape
    if character.isprintable():
        return character
    # Three octal digits: unlike \x, they end where they should.
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))
