"""What a load into a vm was, as a record for the next process (`osmia.prepared`).

Maps and sections are as they are made, code as it is but for the numbers of maps, which each vm
gives out itself: `fixups` are the places in the code of those, and which map or section it is;
sections have the numbers behind those of maps.
"""

from __future__ import annotations

from osmia.named_tuples import NamedTuple
from osmia.prepared.record import (
    FIXUP,
    BrokenRecordError,
    check_counts,
    encoded,
    row_of,
    sealed,
    text,
    unsealed,
)

_MAP_NUMBERS, _MAP_STRINGS = 7, 2
_SECTION_NUMBERS, _SECTION_STRINGS = 1, 3
_PROGRAM_NUMBERS, _PROGRAM_STRINGS = 2, 5
_HEAD_NUMBERS, _HEAD_STRINGS = 3, 1


class MapRow(NamedTuple):
    """A map as `Vm.make_map` takes it. `lock` is the offset of the lock in its values, or -1;
    `special` has offset and size of each special field, as FIXUPs."""

    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    map_extra: int
    lock: int
    name: bytes
    special: bytes


class SectionRow(NamedTuple):
    """A data section, and the name of its map."""

    read_only: int
    section: bytes
    name: bytes
    contents: bytes


class ProgramRow(NamedTuple):
    """A program. `attach_type` is -1 for none; `functions` has the names of its functions, each
    behind its first slot: "0 name", with NULs between."""

    type: int
    attach_type: int
    name: bytes
    signature: bytes
    code: bytes
    functions: bytes
    fixups: bytes


class VmRecord(NamedTuple):
    """All of a load."""

    name: str
    maps: tuple[MapRow, ...]
    sections: tuple[SectionRow, ...]
    programs: tuple[ProgramRow, ...]


def packed(record: VmRecord, key: str) -> bytes:
    """The bytes of the file."""
    counts = len(record.maps), len(record.sections), len(record.programs)
    rows = [row_of((*counts, encoded(record.name)), _HEAD_NUMBERS)]
    rows += [row_of(each, _MAP_NUMBERS) for each in record.maps]
    rows += [row_of(each, _SECTION_NUMBERS) for each in record.sections]
    rows += [row_of(each, _PROGRAM_NUMBERS) for each in record.programs]
    return sealed(b"".join(rows), key)


def unpacked(data: bytes, key: str) -> VmRecord:
    """The record in a file. BrokenRecordError for what `packed` did not make under this key."""
    rows = unsealed(data, key)
    maps, sections, programs, name = rows.take(_HEAD_NUMBERS, _HEAD_STRINGS)
    check_counts(maps, sections, programs)
    made = VmRecord(
        text(name),
        tuple(MapRow(*rows.take(_MAP_NUMBERS, _MAP_STRINGS)) for _ in range(maps)),
        tuple(SectionRow(*rows.take(_SECTION_NUMBERS, _SECTION_STRINGS)) for _ in range(sections)),
        tuple(ProgramRow(*rows.take(_PROGRAM_NUMBERS, _PROGRAM_STRINGS)) for _ in range(programs)),
    )
    rows.end()
    for program in made.programs:
        if len(program.code) % 8 or len(program.fixups) % FIXUP.size:
            raise BrokenRecordError("its parts do not fit each other")
        for offset, number in FIXUP.iter_unpack(program.fixups):
            if offset % 8 or offset + 16 > len(program.code) or number >= maps + sections:
                raise BrokenRecordError("its parts do not fit each other")
    return made
