"""What `.BTF.ext` says about each function's code, cut to that function."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter

from osmia.btf import BTF, BTFExt
from osmia.btf.ext import CoreInfo
from osmia.formats.elf_symbols import INSTRUCTION_SIZE
from osmia.object.model import CoreRelocation


class CodeInfo:
    """The records of a file's `.BTF.ext`, by section and byte offset. Without one, empty."""

    def __init__(self, btf: BTF | None, ext: bytes | memoryview | None) -> None:
        self._ext = BTFExt(ext, btf) if btf is not None and ext is not None else None
        self._foreign = btf is not None and btf.byteorder != sys.byteorder
        # By section and sorted by offset, which hostile files are not.
        self._lines: dict[str, tuple[Sequence[int], array[int]]] = {}
        self._core: dict[str, list[tuple[int, CoreInfo]]] = {}

    def function_id(self, section: str, start: int) -> int:
        """The BTF id of the FUNC that starts at `start`, 0 if none is told."""
        if self._ext is None or section not in self._ext.function_ids:
            return 0
        return self._ext.function_ids[section].get(start, 0)

    def lines(self, section: str, start: int, end: int) -> bytes:
        """Packed bpf_line_info records of [start, end), offsets in slots from `start`."""
        if self._ext is None or section not in self._ext.line_words:
            return b""
        found = self._lines.get(section)
        if found is None:
            found = self._lines[section] = _sorted_lines(self._ext.line_words[section])
        offsets, words = found
        first = bisect_left(offsets, start)
        last = bisect_left(offsets, end, first)
        part = words[4 * first : 4 * last]
        part[0::4] = array("I", [(o - start) // INSTRUCTION_SIZE for o in offsets[first:last]])
        if self._foreign:
            part.byteswap()
        return part.tobytes()

    def core_relocations(self, section: str, start: int, end: int) -> tuple[CoreRelocation, ...]:
        """The CO-RE records of [start, end), offsets in bytes from `start`."""
        if self._ext is None or section not in self._ext.core:
            return ()
        records = self._core.get(section)
        if records is None:
            # Sorting keeps the order of those at one place.
            records = sorted(enumerate(self._ext.core[section]), key=_place)
            self._core[section] = records
        first = bisect_left(records, start, key=_place)
        return tuple(
            CoreRelocation(offset - start, kind, type_id, access, number)
            for number, (offset, type_id, access, kind) in records[
                first : bisect_left(records, end, first, key=_place)
            ]
        )


def _place(numbered: tuple[int, CoreInfo]) -> int:
    return numbered[1].offset


def _sorted_lines(words: array[int]) -> tuple[Sequence[int], array[int]]:
    """The offsets and the records of a section's lines, in order of the offsets."""
    offsets = words[0::4].tolist()
    if offsets == sorted(offsets):
        return offsets, words
    records = sorted(zip(offsets, words[1::4], words[2::4], words[3::4], strict=True), key=_first)
    return [record[0] for record in records], array("I", chain.from_iterable(records))


_first = itemgetter(0)
