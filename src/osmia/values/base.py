"""`Codec`: what turns the bytes of one C type into a Python value and back."""

from __future__ import annotations

import mmap
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from osmia.errors import CodecError

if TYPE_CHECKING:
    import numpy

#: What is decoded from. A memoryview must be of bytes (format "B").
Buffer: TypeAlias = bytes | bytearray | memoryview | mmap.mmap

ByteOrder: TypeAlias = Literal["little", "big"]

#: What `encode` takes as it is, when it has the type's exact size.
RAW_BYTES = (bytes, bytearray, memoryview)


class Decode(Protocol):
    """A compiled decoder: the value at `offset` bytes into `buffer`."""

    def __call__(self, buffer: Buffer, offset: int = 0) -> Any: ...


class Codec(ABC):
    """The bytes of one C type, to Python and back, in the target's byte order.

    `size` is in bytes, `type_name` is C ("struct flow", "char[16]"). `code` is the
    `struct` module's character for a single scalar, "" for anything else. `exact` tells
    whether every bit pattern survives decoding and encoding. `weight` bounds how many
    Python values one decoded value holds.
    """

    code = ""
    exact = True
    weight = 1

    def __init__(self, size: int, type_name: str, byteorder: ByteOrder) -> None:
        self.size = size
        self.type_name = type_name
        self.byteorder: ByteOrder = byteorder

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.type_name}: {self.size} bytes>"

    @property
    def order(self) -> str:
        """The `struct` module's and numpy's character for the byte order."""
        return "<" if self.byteorder == "little" else ">"

    @cached_property
    def decode(self) -> Decode:
        """`decode(buffer, offset=0)`: the value at `offset`; CodecError when bytes are missing.

        Compiled at the first use. Loops may keep it: `decode = codec.decode`.
        """
        return self._compile_decoder()

    @abstractmethod
    def _compile_decoder(self) -> Decode: ...

    def encode(self, value: Any) -> bytes:
        """The `size` bytes of `value`, which may also be given as just these bytes.

        A type that means something (`osmia.values.meaning`) takes also what it means: text in
        its notation ("10.0.0.1"), an address of `ipaddress`. Raises CodecError for what does
        not fit the type.
        """
        if isinstance(value, RAW_BYTES):
            return self._exact_bytes(value)
        try:
            return self._encode(value)
        except CodecError as error:
            return meant(self, value, error)

    @abstractmethod
    def _encode(self, value: Any) -> bytes: ...

    @abstractmethod
    def dtype(self) -> numpy.dtype[Any]:
        """The numpy type of the same bytes. Imports numpy."""

    @abstractmethod
    def initialiser(self, value: Any) -> str:
        """`value` as C would initialise it."""

    def iter_decode(self, buffer: Buffer) -> Iterator[Any]:
        """The values that lie one after the other in `buffer`, as many as it holds exactly."""
        try:
            view = memoryview(buffer)
        except TypeError:
            raise self._refuse(buffer) from None
        if not view.c_contiguous:
            raise self._refuse(buffer)
        length = view.nbytes
        if not self.size or length % self.size:
            problem = f"{length} bytes are no whole number of {self.type_name} ({self.size} bytes)"
            raise CodecError(problem)
        decode = self.decode
        for offset in range(0, length, self.size):
            yield decode(buffer, offset)

    def _exact_bytes(self, value: bytes | bytearray | memoryview) -> bytes:
        data = bytes(value)
        if len(data) != self.size:
            raise CodecError(f"{self.type_name} has {self.size} bytes, not {len(data)}")
        return data

    def too_short(self, buffer: Buffer, offset: int) -> CodecError:
        """What to raise where bytes are missing at `offset`."""
        left = max(0, len(buffer) - offset)
        return CodecError(f"{self.type_name} needs {self.size} bytes; {left} are left")

    def _refuse(self, value: Any) -> CodecError:
        return CodecError(f"{type(value).__name__} is no value for {self.type_name}: {value!r:.80}")


def encode_named(codec: Codec, value: Any, name: str) -> bytes:
    """What `codec.encode` gives; under its name a value may mean something more. CodecError."""
    try:
        return codec.encode(value)
    except CodecError as error:
        return meant(codec, value, error, name)


def meant(codec: Codec, value: Any, error: CodecError, name: str = "") -> bytes:
    """The bytes of a value by what its type means under a name; `error` where it is none such."""
    written = isinstance(value, str) or type(value).__module__ == "ipaddress"
    if not written and not (name and isinstance(value, list | tuple)):
        raise error
    from osmia.values.readable import taken  # of what most values are not

    return taken(codec, value, error, name)
