"""Finding types by name without decoding them.

A name is searched in the string section as bytes, which gives offsets; an offset is
searched in the column of all types' name offsets, also as bytes. Both searches run at
the speed of memory, and nothing is built per name.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator

#: With more candidates than this, a set of the offsets in use is made and asked first.
_FEW = 4


def string_offsets(strings: bytes, name: bytes, *, unique: bool) -> list[int]:
    """Every offset at which `name` stands as a NUL-terminated string in `strings`.

    That includes the ends of longer strings: a writer may store "print" and let "int"
    begin in the middle of it. With `unique`, no writer did, nor stored a name twice:
    the first whole string is the only one.
    """
    if unique:
        position = strings.find(b"\0" + name + b"\0")
        return [position + 1] if position >= 0 else []
    pattern = name + b"\0"
    offsets = []
    position = strings.find(pattern)
    while position >= 0:
        offsets.append(position)
        position = strings.find(pattern, position + 1)
    return offsets


class NameColumn:
    """The name offsets of all types in id order, searchable."""

    __slots__ = ("_column", "_used")

    def __init__(self, words: memoryview, positions: array[int]) -> None:
        self._column = array("I", map(words.__getitem__, positions)).tobytes()
        self._used: frozenset[int] | None = None

    def rows(self, offsets: list[int]) -> Iterator[int]:
        """The rows that hold one of `offsets`, in order."""
        if len(offsets) == 1:
            return self._rows_of(offsets[0])
        present: Iterable[int] = offsets
        if len(offsets) > _FEW:
            present = self._offsets_in_use().intersection(offsets)
        return iter(sorted(row for offset in present for row in self._rows_of(offset)))

    def _offsets_in_use(self) -> frozenset[int]:
        if self._used is None:
            self._used = frozenset(memoryview(self._column).cast("I"))
        return self._used

    def _rows_of(self, offset: int) -> Iterator[int]:
        pattern = struct.pack("=I", offset)
        position = self._column.find(pattern)
        while position >= 0:
            if position % 4:
                position = self._column.find(pattern, position + 1)
                continue
            yield position // 4
            position = self._column.find(pattern, position + 4)
