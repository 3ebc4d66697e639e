"""Files made to break a reader: each gives `ObjectFormatError` or parses, quickly and small."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osmia.elf import Binding, ElfFile, ElfWriter, Section, SectionType
from osmia.errors import ObjectFormatError

pytestmark = pytest.mark.slow

Reader = Callable[[bytes], ElfFile]

SECTION_TABLE = 40  # e_shoff's place in the file header
SECTION_COUNT = 60  # e_shnum's
NAMES_INDEX = 62  # e_shstrndx's
TYPE, OFFSET, SIZE, LINK, INFO, ENTRY_SIZE = 4, 24, 32, 40, 44, 56  # in a section header

QUICK = settings(
    derandomize=True,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def _two_symbols() -> ElfWriter:
    writer = ElfWriter()
    text = writer.add_section(".text", data=bytes(16))
    symbol = writer.add_symbol("first", section=text)
    writer.add_symbol("second", section=text)
    writer.add_relocation(text, 8, symbol, 1)
    return writer


def _header_of(data: bytes, name: str) -> int:
    """Where the header of the section of that name is in the file."""
    section = ElfFile.parse(data).section(name)
    assert section is not None
    return int.from_bytes(data[SECTION_TABLE : SECTION_TABLE + 8], "little") + 64 * section.index


def _patch(data: bytes, offset: int, layout: str, value: int) -> bytes:
    patched = bytearray(data)
    struct.pack_into("<" + layout, patched, offset, value)
    return bytes(patched)


def _patch_section(data: bytes, name: str, field: int, value: int) -> bytes:
    wide = field in (OFFSET, SIZE, ENTRY_SIZE)
    return _patch(data, _header_of(data, name) + field, "Q" if wide else "I", value)


@QUICK
@given(
    edits=st.lists(
        st.tuples(st.integers(0, 1 << 20), st.sampled_from("BHIQ"), st.integers(0, (1 << 64) - 1)),
        min_size=1,
        max_size=8,
    ),
    cut=st.none() | st.integers(0, 1 << 20),
)
def test_any_damage_parses_or_is_an_object_format_error(
    little: bytes,
    read_everything: Reader,
    edits: list[tuple[int, str, int]],
    cut: int | None,
) -> None:
    data = bytearray(little)
    for place, layout, value in edits:
        size = struct.calcsize(layout)
        struct.pack_into("<" + layout, data, place % (len(data) - size), value % (1 << 8 * size))
    if cut is not None:
        del data[cut % len(data) :]
    with contextlib.suppress(ObjectFormatError):
        read_everything(bytes(data))


@QUICK
@given(
    edits=st.lists(
        st.tuples(
            st.integers(0, 63 + 64 * 8),
            st.sampled_from([0, 1, 2, 3, 4, 9, 18, 0x7F, 0x80, 0xFE, 0xFF]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_damaged_headers(read_everything: Reader, edits: list[tuple[int, int]]) -> None:
    data = bytearray(_two_symbols().to_bytes())
    table = int.from_bytes(data[SECTION_TABLE : SECTION_TABLE + 8], "little")
    for place, value in edits:
        data[place if place < 64 else (table + place - 64) % len(data)] = value
    with contextlib.suppress(ObjectFormatError):
        read_everything(bytes(data))


def test_every_truncation_is_an_error(read_everything: Reader) -> None:
    data = _two_symbols().to_bytes()
    read_everything(data)
    for length in range(len(data)):
        with pytest.raises(ObjectFormatError):
            read_everything(data[:length])


@pytest.mark.parametrize(
    ("name", "field", "value", "fault"),
    [
        (".text", OFFSET, 1 << 63, "section 1 .16 bytes. ends past the file's end"),
        (".text", SIZE, (1 << 64) - 1, "section 1 .* ends past the file's end"),
        (".text", 48, 12, "alignment 12, not a power of two"),
        (".text", OFFSET, 65, "overlaps another"),
        (".symtab", ENTRY_SIZE, 0, "does not hold 24-byte entries"),
        (".symtab", ENTRY_SIZE, 25, "does not hold 24-byte entries"),
        (".symtab", SIZE, 71, "does not hold 24-byte entries"),
        (".symtab", LINK, 0xFFFFFFFF, "string table 4294967295, which is not there"),
        (".symtab", LINK, 1, "section 1 should be a string table and is not"),
        (".symtab", TYPE, 1, "does not name the symbol table"),
        (".shstrtab", SIZE, 3, "does not end"),
        (".shstrtab", TYPE, 8, "section 5 should be a string table and is not"),
        (".rel.text", ENTRY_SIZE, 24, "does not hold 16-byte entries"),
        (".rel.text", LINK, 99, "does not name the symbol table"),
        (".strtab", TYPE, 2, "more than one SYMTAB section"),
    ],
)
def test_inconsistent_sections(
    read_everything: Reader, name: str, field: int, value: int, fault: str
) -> None:
    data = _patch_section(_two_symbols().to_bytes(), name, field, value)
    with pytest.raises(ObjectFormatError, match=fault):
        read_everything(data)


@pytest.mark.parametrize(
    ("place", "layout", "value", "fault"),
    [
        (SECTION_TABLE, "Q", 1 << 62, "end past the end of the file"),
        (SECTION_COUNT, "H", 0xFFFE, "65534 section headers end past the end"),
        (58, "H", 40, "section headers of 40 bytes"),
        (NAMES_INDEX, "H", 77, "section 77, which is not there"),
        (NAMES_INDEX, "H", 0, "past the end of the string table"),
        (NAMES_INDEX, "H", 0xFFFF, "past the end of the string table"),
        (56, "H", 0xFFFE, "segment headers of 0 bytes"),
    ],
)
def test_inconsistent_file_headers(
    read_everything: Reader, place: int, layout: str, value: int, fault: str
) -> None:
    with pytest.raises(ObjectFormatError, match=fault):
        read_everything(_patch(_two_symbols().to_bytes(), place, layout, value))


def _symbol_entry(data: bytes, index: int) -> int:
    section = ElfFile.parse(data).section(".symtab")
    assert section is not None
    return section.offset + 24 * index


@pytest.mark.parametrize(
    ("field", "layout", "value", "fault"),
    [
        (0, "I", 0x7FFFFFFF, "past the end of the string table"),
        (4, "B", 0x70, "symbol 1 has unknown binding or type 0x70"),
        (6, "H", 200, "symbol 1 is in section 200, which is not there"),
        (6, "H", 0xFFFF, "extended section index but no entry"),
    ],
)
def test_inconsistent_symbols(
    read_everything: Reader, field: int, layout: str, value: int, fault: str
) -> None:
    data = _two_symbols().to_bytes()
    with pytest.raises(ObjectFormatError, match=fault):
        read_everything(_patch(data, _symbol_entry(data, 1) + field, layout, value))


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        (0, 16, "relocation 0 of '.rel.text' is at 0x10, past the end of '.text'"),
        (8, 3 << 32, "relocation 0 of '.rel.text' names symbol 3 of 3"),
    ],
)
def test_inconsistent_relocations(
    read_everything: Reader, field: int, value: int, fault: str
) -> None:
    data = _two_symbols().to_bytes()
    table = ElfFile.parse(data).section(".rel.text")
    assert table is not None
    with pytest.raises(ObjectFormatError, match=fault) as caught:
        read_everything(_patch(data, table.offset + field, "Q", value))
    assert caught.value.offset == table.offset


def test_a_string_table_without_nul(read_everything: Reader) -> None:
    data = _two_symbols().to_bytes()
    strings = ElfFile.parse(data).section(".strtab")
    assert strings is not None
    filled = bytearray(data)
    filled[strings.offset : strings.offset + strings.size] = b"a" * strings.size
    with pytest.raises(ObjectFormatError, match="does not end") as caught:
        read_everything(bytes(filled))
    assert caught.value.offset == strings.offset


def _extended(index: int, entries: int = 3) -> bytes:
    """A file whose symbol 1 has its section's index in a SYMTAB_SHNDX section."""
    writer = _two_symbols()
    table = struct.pack("<3I", 0, index, 0)[: 4 * entries]
    # Sections: 0, .text, .symtab_shndx, .rel.text, .symtab
    writer.add_section(".symtab_shndx", SectionType.SYMTAB_SHNDX, data=table, link=4, entry_size=4)
    data = writer.to_bytes()
    return _patch(data, _symbol_entry(data, 1) + 6, "H", 0xFFFF)


def test_an_extended_section_index_is_followed(read_everything: Reader) -> None:
    symbols = read_everything(_extended(1)).symbols
    assert [symbol.section for symbol in symbols] == [0, 1, 1]


@pytest.mark.parametrize("data", [_extended(99), _extended(0xFFF1), _extended(1, entries=1)])
def test_a_wrong_extended_section_index(read_everything: Reader, data: bytes) -> None:
    with pytest.raises(ObjectFormatError, match=r"symbol 1 has (an )?extended section index"):
        read_everything(data)


def test_the_section_count_may_stand_in_the_null_section(read_everything: Reader) -> None:
    data = _two_symbols().to_bytes()
    plain = read_everything(data)
    table = int.from_bytes(data[SECTION_TABLE : SECTION_TABLE + 8], "little")
    data = _patch(data, SECTION_COUNT, "H", 0)
    data = _patch(data, table + SIZE, "Q", len(plain.sections))
    data = _patch(data, NAMES_INDEX, "H", 0xFFFF)
    data = _patch(data, table + LINK, "I", len(plain.sections) - 1)
    assert _names(read_everything(data).sections) == _names(plain.sections)
    with pytest.raises(ObjectFormatError, match="headers end past the end of the file"):
        read_everything(_patch(data, table + SIZE, "Q", 1 << 60))


def _names(sections: list[Section]) -> list[str]:
    return [section.name for section in sections]


def test_names_that_share_one_long_string_do_not_multiply(read_everything: Reader) -> None:
    writer = ElfWriter()
    count = 20_000
    writer.add_symbol("x" * 200_000)
    for _ in range(count):
        writer.add_symbol("", binding=Binding.GLOBAL)
    data = bytearray(writer.to_bytes())
    table = _symbol_entry(bytes(data), 2)
    for index in range(count):
        struct.pack_into("<I", data, table + 24 * index, 1 + index)
    hostile = bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(ObjectFormatError, match="overlap too much"):
            read_everything(hostile)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 * len(hostile)


def test_many_relocation_sections_on_the_same_bytes_are_refused(read_everything: Reader) -> None:
    writer = ElfWriter()
    text = writer.add_section(".text", data=bytes(16))
    symbol = writer.add_symbol("f", section=text)
    for _ in range(1000):
        writer.add_relocation(text, 8, symbol, 1)
    for index in range(200):
        writer.add_section(f"hostile{index}", data=b"x", info=text)
    data = writer.to_bytes()
    real = ElfFile.parse(data).section(".rel.text")
    assert real is not None
    for header in [_header_of(data, f"hostile{index}") for index in range(200)]:
        data = _patch(data, header + TYPE, "I", SectionType.REL)
        data = _patch(data, header + OFFSET, "Q", real.offset)
        data = _patch(data, header + SIZE, "Q", real.size)
    with pytest.raises(ObjectFormatError, match="overlaps another"):
        read_everything(data)
