"""What `.BTF.ext` says about each function's code, cut to that function."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter, itemgetter

from osmia.btf import BTF, BTFExt
from osmia.btf.ext import LineRecord
from osmia.formats.elf_symbols import INSTRUCTION_SIZE
from osmia.object.model import CoreRelocation


class CodeInfo:
    """The records of a file's `.BTF.ext`, by section and byte offset. Without one, empty."""

    def __init__(self, btf: BTF | None, ext: bytes | memoryview | None) -> None:
        self._ext = BTFExt(ext, btf) if btf is not None and ext is not None else None
        order = "<" if btf is None or btf.byteorder == "little" else ">"
        # By section and sorted by offset, which hostile files are not.
        self._function_ids: dict[str, dict[int, int]] = {}
        self._lines: dict[str, list[LineRecord]] = {}
        self._core: dict[str, list[CoreRelocation]] = {}
        self._line = struct.Struct(f"{order}IIII")

    def function_id(self, section: str, start: int) -> int:
        """The BTF id of the FUNC that starts at `start`, 0 if none is told."""
        if self._ext is None:
            return 0
        ids = self._function_ids.get(section)
        if ids is None:
            records = self._ext.functions.get(section, [])
            ids = {record.offset: record.type_id for record in reversed(records)}
            self._function_ids[section] = ids
        return ids.get(start, 0)

    def lines(self, section: str, start: int, end: int) -> bytes:
        """Packed bpf_line_info records of [start, end), offsets in slots from `start`."""
        if self._ext is None:
            return b""
        records = self._lines.get(section)
        if records is None:
            records = sorted(self._ext.line_records.get(section, ()), key=_offset)
            self._lines[section] = records
        pack = self._line.pack
        return b"".join(
            pack((offset - start) // INSTRUCTION_SIZE, file, text, position)
            for offset, file, text, position in records[_span(records, start, end)]
        )

    def core_relocations(self, section: str, start: int, end: int) -> tuple[CoreRelocation, ...]:
        """The CO-RE records of [start, end), offsets in bytes from `start`."""
        if self._ext is None:
            return ()
        records = self._core.get(section)
        if records is None:
            numbered = enumerate(self._ext.core.get(section, ()))
            records = [
                CoreRelocation(record.offset, record.kind, record.type_id, record.access, number)
                for number, record in sorted(numbered, key=lambda entry: entry[1].offset)
            ]
            self._core[section] = records
        first = bisect_left(records, start, key=attrgetter("offset"))
        last = bisect_left(records, end, key=attrgetter("offset"))
        return tuple(
            CoreRelocation(r.offset - start, r.kind, r.type_id, r.access, r.index)
            for r in records[first:last]
        )


_offset = itemgetter(0)


def _span(records: Sequence[tuple[int, ...]], start: int, end: int) -> slice:
    """Where the records of [start, end) stand in a list sorted by offset (field 0)."""
    first = bisect_left(records, start, key=_offset)
    return slice(first, bisect_left(records, end, first, key=_offset))
