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


def string_offsets(data: bytes, name: bytes, start: int, end: int, *, whole: bool) -> Iterator[int]:
    """Offsets from `start` at which `name` stands as a NUL-terminated string in data[start:end].

    Unless `whole`, that includes the ends of longer strings: a writer may store "print"
    and let "int" begin in the middle of it.
    """
    pattern = b"\0" + name + b"\0" if whole else name + b"\0"
    skipped = 1 if whole else 0
    position = data.find(pattern, start, end)
    while position >= 0:
        yield position + skipped - start
        position = data.find(pattern, position + 1, end)


class NameColumn:
    """The name offsets of all types in id order, searchable."""

    __slots__ = ("_column", "_used")

    def __init__(self, words: memoryview, positions: array[int]) -> None:
        self._column = array("I", map(words.__getitem__, positions)).tobytes()
        self._used: frozenset[int] | None = None

    def rows(self, offsets: list[int]) -> list[int]:
        """The rows that hold one of `offsets`, in order."""
        if len(offsets) == 1:
            return list(self._rows_of(offsets[0]))
        present: Iterable[int] = offsets
        if len(offsets) > _FEW:
            present = self._offsets_in_use().intersection(offsets)
        return sorted(row for offset in present for row in self._rows_of(offset))

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
