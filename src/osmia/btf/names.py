"""Finding types by name without decoding them.

A name is searched in the string section as bytes (`strings.offsets_of`); an offset is
searched in the column of all types' name offsets, also as bytes. Both searches run at
the speed of memory, and nothing is built per name.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator

#: With more candidates than this, a set of the offsets in use is made and asked first.
_FEW = 4


class NameColumn:
    """The name offsets of all types in id order, searchable: `column` has 4 bytes a type."""

    __slots__ = ("_used", "column")

    def __init__(self, column: bytes) -> None:
        self.column = column
        self._used: frozenset[int] | None = None

    @classmethod
    def gathered(cls, words: memoryview, positions: Iterable[int]) -> NameColumn:
        """The column of the records that start at `positions`."""
        return cls(array("I", [words[position] for position in positions]).tobytes())

    def offset_of(self, row: int) -> int:
        """The name offset in one row."""
        return int.from_bytes(self.column[4 * row : 4 * row + 4], sys.byteorder)

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
            self._used = frozenset(memoryview(self.column).cast("I"))
        return self._used

    def _rows_of(self, offset: int) -> Iterator[int]:
        pattern = struct.pack("=I", offset)
        position = self.column.find(pattern)
        while position >= 0:
            if position % 4:
                position = self.column.find(pattern, position + 1)
                continue
            yield position // 4
            position = self.column.find(pattern, position + 4)
