"""Integers, truth values, pointers and floating-point numbers."""

from __future__ import annotations

import operator
import struct
from typing import TYPE_CHECKING, Any

from osmia.errors import CodecError
from osmia.values.base import Buffer, ByteOrder, Codec, Decode

if TYPE_CHECKING:
    import numpy

_UNSIGNED_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_FLOAT_CODES = {2: "e", 4: "f", 8: "d"}

#: Typedefs of integers in network byte order: the kernel's, and the C library's.
NETWORK_TYPES = frozenset({"__be16", "__be32", "__be64", "in_addr_t", "in_port_t"})

#: Up to __int128; BTF knows no larger integer.
MAX_INTEGER_SIZE = 16


class ScalarCodec(Codec):
    """A value that one character of the `struct` module describes."""

    def __init__(self, code: str, size: int, type_name: str, byteorder: ByteOrder) -> None:
        super().__init__(size, type_name, byteorder)
        self.code = code
        self.packer = struct.Struct(self.order + code)

    def from_raw(self, raw: Any) -> Any:
        """The value for what `struct` unpacked."""
        return raw

    def _compile_decoder(self) -> Decode:
        unpack_from, from_raw = self.packer.unpack_from, self.from_raw
        plain = type(self).from_raw is ScalarCodec.from_raw

        def decode(buffer: Buffer, offset: int = 0) -> Any:
            try:
                raw = unpack_from(buffer, offset)[0]
            except struct.error:
                raise self.too_short(buffer, offset) from None
            return raw if plain else from_raw(raw)

        return decode

    def dtype(self) -> numpy.dtype[Any]:
        from osmia.numpy_extra import numpy as np

        return np.dtype(self.order + self.code)


class IntCodec(ScalarCodec):
    """An integer of 1, 2, 4 or 8 bytes: `int`."""

    network = False
    """Whether the type says that its bytes are in network order, as __be32 does. The value is the
    number in the target's order all the same, as C has it without bpf_ntohl."""

    def __init__(self, size: int, signed: bool, type_name: str, byteorder: ByteOrder) -> None:
        code = _UNSIGNED_CODES[size]
        super().__init__(code.lower() if signed else code, size, type_name, byteorder)
        self.signed = signed

    def _encode(self, value: Any) -> bytes:
        try:
            return self.packer.pack(value)
        except struct.error:
            raise self._unfit(value) from None

    def _unfit(self, value: Any) -> CodecError:
        try:
            number = operator.index(value)
        except TypeError:
            return self._refuse(value)
        return integer_out_of_range(number, 8 * self.size, self.signed, self.type_name)

    def initialiser(self, value: Any) -> str:
        return str(int(value))


class PointerCodec(IntCodec):
    """A pointer: the address as `int`. What it points to is never followed."""

    def __init__(self, size: int, type_name: str, byteorder: ByteOrder) -> None:
        super().__init__(size, False, type_name, byteorder)

    def initialiser(self, value: Any) -> str:
        return f"{int(value):#x}"


class BoolCodec(ScalarCodec):
    """`bool`: any bit makes it True."""

    exact = False

    def __init__(self, type_name: str, byteorder: ByteOrder) -> None:
        super().__init__("?", 1, type_name, byteorder)

    def _encode(self, value: Any) -> bytes:
        # numpy's truth value is no integer, and must be known without importing numpy.
        number = bool(value) if type(value).__module__ == "numpy" else value
        if not isinstance(number, int) or number not in (0, 1):
            raise self._refuse(value)
        return bytes((number,))

    def initialiser(self, value: Any) -> str:
        return "true" if value else "false"


class FloatCodec(ScalarCodec):
    """_Float16, float or double: `float`."""

    exact = False

    def __init__(self, size: int, type_name: str, byteorder: ByteOrder) -> None:
        super().__init__(_FLOAT_CODES[size], size, type_name, byteorder)

    def _encode(self, value: Any) -> bytes:
        try:
            return self.packer.pack(value)
        except struct.error:
            raise self._refuse(value) from None
        except OverflowError:
            raise CodecError(f"{value!r} does not fit {self.type_name}") from None

    def initialiser(self, value: Any) -> str:
        return repr(float(value))


class WideIntCodec(Codec):
    """An integer of any other size up to 16 bytes, such as __int128: `int`."""

    def __init__(self, size: int, signed: bool, type_name: str, byteorder: ByteOrder) -> None:
        super().__init__(size, type_name, byteorder)
        self.signed = signed

    def _compile_decoder(self) -> Decode:
        size, order, signed = self.size, self.byteorder, self.signed

        def decode(buffer: Buffer, offset: int = 0) -> int:
            data = bytes(buffer[offset : offset + size])
            if len(data) != size:
                raise self.too_short(buffer, offset)
            return int.from_bytes(data, order, signed=signed)

        return decode

    def _encode(self, value: Any) -> bytes:
        try:
            number = operator.index(value)
        except TypeError:
            raise self._refuse(value) from None
        try:
            return number.to_bytes(self.size, self.byteorder, signed=self.signed)
        except OverflowError:
            bits = 8 * self.size
            raise integer_out_of_range(number, bits, self.signed, self.type_name) from None

    def dtype(self) -> numpy.dtype[Any]:
        """Raw bytes: numpy has no such integer."""
        from osmia.numpy_extra import numpy as np

        return np.dtype(f"V{self.size}")

    def initialiser(self, value: Any) -> str:
        return str(int(value))


def int_codec(size: int, signed: bool, type_name: str, byteorder: ByteOrder) -> Codec:
    """The codec of an integer of `size` bytes, 1 to MAX_INTEGER_SIZE."""
    kind = IntCodec if size in _UNSIGNED_CODES else WideIntCodec
    return kind(size, signed, type_name, byteorder)


def integer_out_of_range(number: int, bits: int, signed: bool, type_name: str) -> CodecError:
    """The error for an integer that `bits` bits cannot hold."""
    low = -(1 << bits - 1) if signed else 0
    high = (1 << bits - signed) - 1
    return CodecError(f"{number} does not fit {type_name} ({low} to {high})")
