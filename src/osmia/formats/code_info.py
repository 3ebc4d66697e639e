"""What `.BTF.ext` says about each function's code, cut to that function."""

from __future__ import annotations

import struct
from bisect import bisect_left

from osmia.btf import BTF, BTFExt
from osmia.formats.elf_symbols import INSTRUCTION_SIZE
from osmia.object.model import CoreRelocation


class CodeInfo:
    """The records of a file's `.BTF.ext`, by section and byte offset. Without one, empty."""

    def __init__(self, btf: BTF | None, ext: bytes | memoryview | None) -> None:
        self._ext = BTFExt(ext, btf) if btf is not None and ext is not None else None
        order = "<" if btf is None or btf.byteorder == "little" else ">"
        self._function_ids: dict[str, dict[int, int]] = {}
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
        records = self._ext.line_records.get(section, [])
        first, last = _span(records, start, end)
        pack = self._line.pack
        return b"".join(
            pack((offset - start) // INSTRUCTION_SIZE, file, text, position)
            for offset, file, text, position in records[first:last]
        )

    def core_relocations(self, section: str, start: int, end: int) -> tuple[CoreRelocation, ...]:
        """The CO-RE records of [start, end), offsets in bytes from `start`."""
        if self._ext is None:
            return ()
        records = self._ext.core.get(section, [])
        first, last = _span(records, start, end)
        return tuple(
            CoreRelocation(record.offset - start, record.kind, record.type_id, record.access, index)
            for index, record in enumerate(records[first:last], first)
        )


def _span(records: list, start: int, end: int) -> tuple[int, int]:  # type: ignore[type-arg]
    """Where the records of [start, end) stand in a list sorted by offset (field 0)."""
    return (
        bisect_left(records, start, key=lambda record: record[0]),
        bisect_left(records, end, key=lambda record: record[0]),
    )
