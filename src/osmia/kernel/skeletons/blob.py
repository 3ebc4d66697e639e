"""The bytes that a loader program works on: attributes of bpf(2), code, types, strings, numbers.

They are the value of the array whose descriptor stands first in the loader's own `fd_array`:
`map[idx:0][0]+AT` in its code is the address of byte AT here.
"""

from __future__ import annotations

import ctypes
import struct

_ALIGNMENT = 8
_DESCRIPTOR = struct.calcsize("=I")


class Blob:
    """Grows as things are added to it; each starts at a multiple of 8 and keeps its place.

    `descriptors` are the places of numbers that hold a descriptor once the loader has made it:
    what is to be closed when it fails.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.descriptors: list[int] = []

    def __bytes__(self) -> bytes:
        return bytes(self._bytes)

    def byte(self, at: int) -> int:
        """The byte at a place, as it is before the loader runs."""
        return self._bytes[at]

    def add(self, data: bytes) -> int:
        """The place of a copy of `data`."""
        at = len(self._bytes)
        self._bytes += data
        self._bytes += bytes(-len(self._bytes) % _ALIGNMENT)
        return at

    def add_text(self, text: str) -> tuple[int, int]:
        """The place of a string and its length, with the zero at its end."""
        data = text.encode() + b"\0"
        return self.add(data), len(data)

    def add_descriptors(self, count: int) -> int:
        """The place of an array of descriptors, not open yet."""
        at = self.add(bytes(_DESCRIPTOR * count))
        self.descriptors += range(at, at + _DESCRIPTOR * count, _DESCRIPTOR)
        return at

    def add_attributes(self, attributes: ctypes.Structure, last: str) -> Attributes:
        """Attributes of a call of bpf(2), up to and with their field `last`."""
        field = getattr(type(attributes), last)
        size = field.offset + field.size
        return Attributes(self.add(bytes(attributes)[:size]), size, type(attributes))


class Attributes:
    """Attributes in a blob: their place and their size in bytes."""

    def __init__(self, at: int, size: int, layout: type[ctypes.Structure]) -> None:
        self.at = at
        self.size = size
        self._layout = layout

    def place(self, field: str) -> int:
        """The place of a field in the blob."""
        offset: int = getattr(self._layout, field).offset
        return self.at + offset

    def size_of(self, field: str) -> int:
        """The bytes of a field."""
        size: int = getattr(self._layout, field).size
        return size
