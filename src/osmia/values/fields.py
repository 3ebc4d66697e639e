"""The fields of a struct: where each lies, and bitfields in either byte order."""

from __future__ import annotations

import operator
from typing import Any

from osmia.errors import CodecError
from osmia.named_tuples import NamedTuple
from osmia.values.base import ByteOrder, Codec, meant
from osmia.values.enums import EnumCodec
from osmia.values.scalars import BoolCodec, integer_out_of_range


class Bits(NamedTuple):
    """Which bits of a struct a bitfield takes.

    They lie in the `size` bytes from `offset` on, read as one integer in the target's
    byte order, `shift` bits above its lowest.
    """

    offset: int
    size: int
    shift: int
    width: int
    signed: bool

    @classmethod
    def at(cls, bit_offset: int, width: int, signed: bool, byteorder: ByteOrder) -> Bits:
        """The bits from BTF's `bit_offset` on.

        BTF counts from the lowest bit of the first byte on little-endian targets, from
        its highest on big-endian ones.
        """
        offset, skipped = divmod(bit_offset, 8)
        size = (skipped + width + 7) // 8
        shift = skipped if byteorder == "little" else 8 * size - skipped - width
        return cls(offset, size, shift, width, signed)

    @property
    def mask(self) -> int:
        """The bits before they are shifted: `width` ones."""
        return (1 << self.width) - 1

    def extract(self, word: int) -> int:
        """The value in the integer that holds the bits."""
        value = (word >> self.shift) & self.mask
        if self.signed and value >> (self.width - 1):
            value -= 1 << self.width
        return value

    def insert(self, word: int, value: int) -> int:
        """The integer with the bits replaced; `value` must fit."""
        return word & ~(self.mask << self.shift) | (value & self.mask) << self.shift


class Field(NamedTuple):
    """A named member, also one of a flattened anonymous struct. `offset` is in bytes.

    `flexible` marks a last array without a size of its own.
    """

    name: str
    codec: Codec
    offset: int
    bits: Bits | None = None
    flexible: bool = False

    @property
    def span(self) -> tuple[int, int]:
        """The bytes it touches: first, and one past the last."""
        if self.bits is not None:
            return self.bits.offset, self.bits.offset + self.bits.size
        return self.offset, self.offset + self.codec.size

    @property
    def signature(self) -> tuple[object, ...]:
        """What must agree for bytes to mean the same in another type."""
        return self.name, self.offset, self.codec.size, self.codec.code, self.bits, self.flexible

    def write(self, buffer: bytearray, value: Any) -> None:
        """Store `value` in a struct's bytes. Raises CodecError with the field's name."""
        try:
            if self.bits is not None:
                self._write_bits(self.bits, buffer, value)
            else:
                try:
                    encoded = self.codec.encode(value)
                except CodecError as error:
                    encoded = meant(self.codec, value, error, self.name)
                buffer[self.offset : self.offset + len(encoded)] = encoded
        except CodecError as error:
            raise CodecError(error.message, path=f".{self.name}{error.path}") from None

    def _write_bits(self, bits: Bits, buffer: bytearray, value: Any) -> None:
        number = self._bitfield_number(bits, value)
        end = bits.offset + bits.size
        word = int.from_bytes(buffer[bits.offset : end], self.codec.byteorder)
        word = bits.insert(word, number)
        buffer[bits.offset : end] = word.to_bytes(bits.size, self.codec.byteorder)

    def _bitfield_number(self, bits: Bits, value: Any) -> int:
        if isinstance(self.codec, EnumCodec):
            value = self.codec.number(value)
        elif isinstance(self.codec, BoolCodec):
            value = self.codec.encode(value)[0]
        try:
            number = operator.index(value)
        except TypeError:
            problem = f"{type(value).__name__} is no value for a bitfield: {value!r:.80}"
            raise CodecError(problem) from None
        low = -(1 << bits.width - 1) if bits.signed else 0
        if not low <= number < low + (1 << bits.width):
            name = f"{self.codec.type_name} : {bits.width}"
            raise integer_out_of_range(number, bits.width, bits.signed, name)
        return number
