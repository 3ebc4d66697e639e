"""ElfWriter: what it writes reads back the same, and readelf finds nothing to complain of."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osmia.elf import (
    EM_BPF,
    R_BPF_64_32,
    R_BPF_64_64,
    SHN_ABS,
    Binding,
    ElfFile,
    ElfWriter,
    SectionFlag,
    SectionType,
    SymbolType,
    Visibility,
)

ORDERS = ["little", "big"]
EXIT = bytes.fromhex("9500000000000000")


def _example(byteorder: str = "little") -> ElfWriter:
    writer = ElfWriter(byteorder=byteorder)
    code_flags = SectionFlag.ALLOC | SectionFlag.EXECINSTR
    text = writer.add_section(".text", flags=code_flags, data=EXIT * 4, alignment=8)
    bss = writer.add_section(".bss", SectionType.NOBITS, SectionFlag.ALLOC, size=40)
    shared = writer.add_symbol("shared", 0, 16, Binding.GLOBAL, SymbolType.FUNC, section=text)
    writer.add_symbol("object.c", 0, 0, Binding.LOCAL, SymbolType.FILE, section=SHN_ABS)
    state = writer.add_symbol(
        "state", 8, 4, Binding.WEAK, SymbolType.OBJECT, Visibility.HIDDEN, section=bss
    )
    private = writer.add_symbol("private", 16, 8, Binding.LOCAL, SymbolType.FUNC, section=text)
    writer.add_relocation(text, 24, state, R_BPF_64_64)
    writer.add_relocation(text, 8, private, R_BPF_64_32)
    writer.add_relocation(text, 16, shared, R_BPF_64_32, addend=-2)
    return writer


@pytest.mark.parametrize("order", ORDERS)
def test_what_is_written_reads_back(order: str) -> None:
    file = ElfFile.parse(_example(order).to_bytes())
    assert (file.byteorder, file.machine) == (order, EM_BPF)
    assert [section.name for section in file.sections] == [
        *("", ".text", ".bss", ".rel.text", ".rela.text", ".symtab", ".strtab", ".shstrtab")
    ]
    text, bss = file.sections[1:3]
    assert (bytes(text.data), text.alignment) == (EXIT * 4, 8)
    assert (bss.size, len(bss.data)) == (40, 0)
    relocations = [
        (r.offset, file.symbols[r.symbol].name, r.type, r.addend) for r in file.relocations(text)
    ]
    assert relocations == [
        (8, "private", R_BPF_64_32, None),
        (16, "shared", R_BPF_64_32, -2),
        (24, "state", R_BPF_64_64, None),
    ]


def test_local_symbols_come_first() -> None:
    file = ElfFile.parse(_example().to_bytes())
    names = [symbol.name for symbol in file.symbols]
    assert names == ["", "object.c", "private", "shared", "state"]
    table = file.section(".symtab")
    assert table is not None
    assert table.info == 3
    state = file.symbols[4]
    assert (state.binding, state.type) == (Binding.WEAK, SymbolType.OBJECT)
    assert (state.visibility, state.section) == (Visibility.HIDDEN, 2)
    assert (state.value, state.size) == (8, 4)


def test_a_writer_can_be_asked_twice_and_added_to() -> None:
    writer = _example()
    first = writer.to_bytes()
    assert writer.to_bytes() == first
    license_section = writer.add_section("license", data=b"GPL\0")
    assert bytes(ElfFile.parse(writer.to_bytes()).sections[license_section].data) == b"GPL\0"


def test_an_empty_file_is_a_valid_one() -> None:
    file = ElfFile.parse(ElfWriter().to_bytes())
    assert len(file.symbols) == 1


@pytest.mark.parametrize("order", ORDERS)
def test_readelf_reads_it_without_a_warning(tmp_path: Path, order: str) -> None:
    path = tmp_path / "written.o"
    path.write_bytes(_example(order).to_bytes())
    result = subprocess.run(["readelf", "-aW", str(path)], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Warning" not in result.stdout
    assert re.search(r"'.rel.text' .* contains 2 entries", result.stdout)


def test_what_elf_cannot_hold_is_refused() -> None:
    writer = _example()
    with pytest.raises(ValueError, match="not a power of two"):
        writer.add_section("odd", alignment=3)
    with pytest.raises(ValueError, match="no room in the file"):
        writer.add_section("full", SectionType.NOBITS, data=b"x")
    with pytest.raises(ValueError, match="1 bytes of data, not 2"):
        writer.add_section("short", data=b"x", size=2)
    with pytest.raises(ValueError, match="contains NUL"):
        writer.add_section("a\0b")
    with pytest.raises(ValueError, match="section 99"):
        writer.add_symbol("lost", section=99)
    with pytest.raises(ValueError, match="does not fit into 64 bits"):
        writer.add_symbol("negative", value=-1)
    symbol = writer.add_symbol("here", section=1)
    with pytest.raises(ValueError, match="outside of section 1"):
        writer.add_relocation(1, 32, symbol, R_BPF_64_64)
    with pytest.raises(ValueError, match="unknown byte order"):
        ElfWriter(byteorder="middle")


_names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
_words = st.integers(0, (1 << 64) - 1)
_section_parts = st.tuples(_names, st.integers(0, 6).map((1).__lshift__), st.binary(max_size=40))
_symbol_parts = st.tuples(
    *(_names, _words, _words, st.sampled_from(Binding), st.sampled_from(SymbolType)),
    st.sampled_from(Visibility),
)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    order=st.sampled_from(ORDERS),
    sections=st.lists(_section_parts, max_size=6),
    symbols=st.lists(_symbol_parts, max_size=8),
    draw=st.data(),
)
def test_any_content_survives_the_round_trip(
    order: str,
    sections: list[tuple[str, int, bytes]],
    symbols: list[tuple[str, int, int, Binding, SymbolType, Visibility]],
    draw: st.DataObject,
) -> None:
    writer = ElfWriter(byteorder=order)
    for name, alignment, data in sections:
        writer.add_section(name, alignment=alignment, data=data)
    places = [draw.draw(st.integers(0, len(sections))) for _ in symbols]
    handles = [
        writer.add_symbol(*symbol, section=place)
        for symbol, place in zip(symbols, places, strict=True)
    ]
    relocated = [index for index, section in enumerate(sections, 1) if section[2]]
    expected: dict[int, list[tuple[int, str, int, int | None]]] = {index: [] for index in relocated}
    if handles:
        for index in relocated:
            offset = draw.draw(st.integers(0, len(sections[index - 1][2]) - 1))
            which = draw.draw(st.integers(0, len(handles) - 1))
            addend = draw.draw(st.none() | st.integers(-(1 << 63), (1 << 63) - 1))
            writer.add_relocation(index, offset, handles[which], R_BPF_64_64, addend)
            expected[index].append((offset, symbols[which][0], R_BPF_64_64, addend))

    file = ElfFile.parse(writer.to_bytes())

    read = [(s.name, s.alignment, bytes(s.data)) for s in file.sections[1 : len(sections) + 1]]
    assert read == sections
    wanted = [(*symbol, place) for symbol, place in zip(symbols, places, strict=True)]
    wanted.sort(key=lambda symbol: symbol[3] is not Binding.LOCAL)
    assert wanted == [
        (s.name, s.value, s.size, s.binding, s.type, s.visibility, s.section)
        for s in file.symbols[1:]
    ]
    for index, relocations in expected.items():
        assert relocations == [
            (r.offset, file.symbols[r.symbol].name, r.type, r.addend)
            for r in file.relocations(file.sections[index])
        ]
