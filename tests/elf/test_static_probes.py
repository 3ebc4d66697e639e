"""Notes about static probes: shifted files, broken notes."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.elf import ElfFile
from osmia.elf.static_probes import static_probes
from osmia.errors import ObjectFormatError

TEXT, DATA = 0x1000, 0x2000


def note(
    address: int = TEXT + 4,
    base: int = TEXT + 0x80,
    semaphore: int = 0,
    texts: bytes = b"app\0start\0-4@%eax\0",
    kind: int = 3,
    owner: bytes = b"stapsdt\0",
) -> bytes:
    description = struct.pack("<3Q", address, base, semaphore) + texts
    header = struct.pack("<3I", len(owner), len(description), kind)
    return (
        header
        + owner.ljust(-(-len(owner) // 4) * 4, b"\0")
        + description.ljust(-(-len(description) // 4) * 4, b"\0")
    )


def executable(notes: bytes, base: int = TEXT + 0x80) -> bytes:
    """An x86-64 program: code at TEXT, data at DATA, both in the file's first 0x400 bytes."""
    names = b"\0.note.stapsdt\0.stapsdt.base\0.shstrtab\0"
    where = 0x400
    header = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    sections_at = where + len(notes) + len(names)
    header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, sections_at, 0, 64, 56, 2, 64, 4, 3)
    segments = struct.pack("<IIQQQQQQ", 1, 5, 0x200, TEXT, TEXT, 0x100, 0x100, 0x1000)
    segments += struct.pack("<IIQQQQQQ", 1, 6, 0x300, DATA, DATA, 0x100, 0x100, 0x1000)

    def section(name: bytes, kind: int, address: int, offset: int, size: int) -> bytes:
        index = names.index(name) if name else 0
        return struct.pack("<IIQQQQIIQQ", index, kind, 0, address, offset, size, 0, 0, 1, 0)

    sections = section(b"", 0, 0, 0, 0)
    sections += section(b".note.stapsdt", 7, 0, where, len(notes))
    sections += section(b".stapsdt.base", 1, base, 0x280, 1)
    sections += section(b".shstrtab", 3, 0, where + len(notes), len(names))
    return (header + segments).ljust(where, b"\0") + notes + names + sections


def probes_of(notes: bytes, base: int = TEXT + 0x80) -> list[tuple[str, int, int]]:
    elf = ElfFile.parse(executable(notes, base), "app")
    return [(probe.name, probe.offset, probe.semaphore) for probe in static_probes(elf)]


def test_addresses_become_offsets_in_the_file() -> None:
    assert probes_of(note(semaphore=DATA + 2)) == [("start", 0x204, 0x302)]


def test_a_file_that_was_shifted_since_moves_its_probes() -> None:
    moved = note(address=TEXT + 4 - 0x500, base=TEXT + 0x80 - 0x500, semaphore=DATA + 2 - 0x500)
    assert probes_of(moved) == [("start", 0x204, 0x302)]


def test_other_notes_are_passed_over() -> None:
    notes = note(owner=b"GNU\0") + note(kind=9) + note(texts=b"p\0second\0\0")
    assert [name for name, _, _ in probes_of(notes)] == ["second"]


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        (note()[:10], "truncated note"),
        (note()[:-8], "ends beyond its section"),
        (struct.pack("<3I", 0xFFFF_FFFF, 0xFFFF_FFFF, 3), "ends beyond its section"),
        (note(texts=b"app\0start"), "three strings"),
        (note(address=0x9000), "its place is not in the file"),
        (note(semaphore=0x9000), "its semaphore is not in the file"),
    ],
)
def test_broken_notes_are_refused(notes: bytes, message: str) -> None:
    with pytest.raises(ObjectFormatError, match=message):
        probes_of(notes)


@given(st.binary(max_size=200))
def test_any_bytes_are_notes_or_refused(notes: bytes) -> None:
    with suppress(ObjectFormatError):
        probes_of(notes)
