"""Line records of code that is edited: every instruction keeps the source line it has.

A record (struct bpf_line_info) counts up to the next one. The kernel wants one at a function's
first instruction, ascending offsets, and none at the second slot of an ld_imm64.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

#: File and text (offsets of strings in BTF), line and column packed.
Line = tuple[int, int, int]
_WORDS = 4


class LineRecords:
    """Records in the order of their slots."""

    def __init__(self, packed: bytes = b"", byteorder: str = sys.byteorder) -> None:
        self.slots: list[int] = []
        self.lines: list[Line] = []
        if packed:
            self._read(packed, byteorder)

    def _read(self, packed: bytes, byteorder: str) -> None:
        words = array("I", packed)
        if byteorder != sys.byteorder:
            words.byteswap()
        self.slots = words[0::_WORDS].tolist()
        columns = (words[field::_WORDS] for field in range(1, _WORDS))
        self.lines = list(zip(*columns, strict=True))

    def __bool__(self) -> bool:
        return bool(self.slots)

    def pack(self, byteorder: str) -> bytes:
        """The records as `Function.line_info` has them."""
        words = array("I", bytes(4 * _WORDS * len(self.slots)))
        for field, column in enumerate((self.slots, *zip(*self.lines, strict=True))):
            words[field::_WORDS] = array("I", column)
        if byteorder != sys.byteorder:
            words.byteswap()
        return words.tobytes()

    def at(self, slot: int) -> Line | None:
        """The line that the instruction at a slot has; None in front of every record."""
        index = bisect_right(self.slots, slot)
        return self.lines[index - 1] if index else None

    def append(self, slot: int, line: Line | None) -> None:
        """From `slot` on it is `line`: a record, where it was another one until there."""
        if line is not None and (not self.lines or self.lines[-1] != line):
            self.slots.append(slot)
            self.lines.append(line)

    def extend(self, slots: Iterable[int], lines: Iterable[Line]) -> None:
        """Append records as they are."""
        self.slots += slots
        self.lines += lines

    def append_new(self, start: int, new: LineRecords, line: Line | None) -> None:
        """The records that new code at `start` has; in front of the first it is `line`."""
        if not new or new.slots[0] != start:
            self.append(start, line)
        self.extend(new.slots, new.lines)

    def append_kept(
        self, old: LineRecords, first: int, end: int, moved: Sequence[int | None]
    ) -> None:
        """What `old` has of the slots from `first` to `end`, which are now where `moved` says.

        What is in front of `first` now is not what was: a record that is needed there is made,
        one that only told of the change from what was there goes.
        """
        begin, own = bisect_left(old.slots, first), bisect_right(old.slots, first)
        until = bisect_left(old.slots, end, own)
        line, before = old.at(first), old.lines[begin - 1] if begin else None
        now = self.lines[-1] if self.lines else None
        if begin == own:
            self.append(_new(moved, first), line)
        elif now == line != before:
            begin = own
        self.extend([_new(moved, slot) for slot in old.slots[begin:until]], old.lines[begin:until])


def _new(moved: Sequence[int | None], slot: int) -> int:
    at = moved[slot]
    assert at is not None
    return at
