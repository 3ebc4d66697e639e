"""Objects made to break the front end: each opens or gives an error of ours, quickly."""

from __future__ import annotations

import contextlib
import struct
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import osmia
from osmia import toolchain
from osmia.btf import BTFBuilder, FunctionInfo, LineInfo, build_btf_ext
from osmia.elf import EM_BPF, Binding, ElfFile, ElfWriter, SectionType, SymbolType
from osmia.errors import ObjectFormatError, OsmiaError
from osmia.passes.layout import lay_out

pytestmark = pytest.mark.slow

#: Sections whose bytes are offsets, counts and indexes.
TABLES = (".symtab", ".BTF", ".BTF.ext", ".maps", ".rel.maps", ".reltc", ".rel.struct_ops.link")
SECTION_HEADER, FILE_HEADER = 64, 64
PROGBITS_CODE = 0x6  # SHF_ALLOC | SHF_EXECINSTR
RETURN_ZERO = struct.pack("<BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0)


class Compiled(bytes):
    """An object file that does not fill the screen when a test fails."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


@pytest.fixture(scope="module")
def everything() -> Compiled:
    return Compiled(toolchain.compile(Path(__file__).with_name("everything.bpf.c")).data)


def fields(data: bytes) -> list[range]:
    """The byte ranges of the file that say where things are and how many."""
    elf = ElfFile.parse(data)
    tables = [section for name in TABLES if (section := elf.section(name)) is not None]
    headers = len(data) - SECTION_HEADER * len(elf.sections)
    return [
        range(FILE_HEADER),
        range(headers, len(data)),
        *(range(table.offset, table.offset + table.size) for table in tables),
    ]


def look_at(obj: osmia.Object) -> None:
    """Whatever can be asked of an object that was opened."""
    for function in obj.functions:
        obj.source_lines(function)
    for name in obj.data:
        obj.data[name]
    for program in obj.programs:
        lay_out(obj, program)


NUMBERS = st.one_of(
    st.sampled_from([0, 1, 2, 8, 0x7F, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, (1 << 64) - 1]),
    st.integers(0, (1 << 64) - 1),
)
PLACES = st.tuples(st.integers(0, 1 << 16), st.integers(0, 1 << 16), st.sampled_from([1, 2, 4, 8]))


@settings(
    derandomize=True,
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=st.lists(st.tuples(PLACES, NUMBERS), min_size=1, max_size=4))
def test_changed_fields_end_in_an_object_or_an_error_of_ours(
    everything: bytes, changes: list[tuple[tuple[int, int, int], int]]
) -> None:
    data = bytearray(everything)
    tables = fields(everything)
    for (table, at, size), number in changes:
        place = tables[table % len(tables)]
        start = place[at % len(place)] // size * size
        data[start : start + size] = (number & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    with contextlib.suppress(OsmiaError):
        look_at(osmia.open(data[: len(everything)]))


@settings(
    derandomize=True,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(everything: bytes, share: float) -> None:
    with pytest.raises(ObjectFormatError):
        osmia.open(everything[: int(len(everything) * share)])


def test_data_of_unbelievable_size_is_refused_before_it_is_allocated() -> None:
    writer = ElfWriter(machine=EM_BPF)
    writer.add_section(".bss", SectionType.NOBITS, size=1 << 40)
    with pytest.raises(ObjectFormatError, match=r"'\.bss' of 1099511627776 bytes is too large"):
        osmia.open(writer.to_bytes())


def test_many_sections_that_are_large_together_are_refused() -> None:
    writer = ElfWriter(machine=EM_BPF)
    for number in range(5):
        writer.add_section(f".bss.{number}", SectionType.NOBITS, size=1 << 28)
    with pytest.raises(ObjectFormatError, match="all sections together"):
        osmia.open(writer.to_bytes())


def test_a_symbol_outside_its_section_is_refused(everything: bytes) -> None:
    data = bytearray(everything)
    symbol = next(s for s in ElfFile.parse(everything).symbols if s.name == "data")
    table = ElfFile.parse(everything).section(".symtab")
    assert table is not None
    struct.pack_into("<Q", data, table.offset + 24 * symbol.index + 8, 1 << 40)
    with pytest.raises(ObjectFormatError, match="'data' at 0x10000000000 lies outside"):
        osmia.open(data)


def test_thousands_of_functions_of_one_name_are_told_apart_quickly() -> None:
    count = 20_000
    writer = ElfWriter(machine=EM_BPF)
    text = writer.add_section(".text", flags=PROGBITS_CODE, data=RETURN_ZERO * count, alignment=8)
    for number in range(count):
        at = number * len(RETURN_ZERO)
        writer.add_symbol(
            "same", at, len(RETURN_ZERO), Binding.LOCAL, SymbolType.FUNC, section=text
        )
    functions = osmia.open(writer.to_bytes()).functions
    assert len(functions) == count
    assert {function.name for function in functions.values()} == {"same"}
    assert f".text:same#{count - 1}" in functions


def test_a_version_that_takes_no_room_in_the_file_is_refused() -> None:
    writer = ElfWriter(machine=EM_BPF)
    writer.add_section("version", SectionType.NOBITS, size=4)
    with pytest.raises(ObjectFormatError, match="'version' has 0 bytes"):
        osmia.open(writer.to_bytes())


def test_a_million_types_are_read_in_bounded_time() -> None:
    count = 1_000_000
    builder = BTFBuilder()
    name = builder.add_string("integer")
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 16 * count, 16 * count, name + 8)
    types = struct.pack("<IIII", name, 1 << 24, 4, 32) * count
    writer = ElfWriter(machine=EM_BPF)
    writer.add_section(".BTF", data=header + types + b"\0integer\0")
    text = writer.add_section("xdp", flags=PROGBITS_CODE, data=RETURN_ZERO, alignment=8)
    writer.add_symbol("p", 0, 16, Binding.GLOBAL, SymbolType.FUNC, section=text)
    started = time.process_time()
    look_at(osmia.open(writer.to_bytes()))
    assert time.process_time() - started < 5


def test_line_records_out_of_order_are_put_in_order() -> None:
    builder = BTFBuilder()
    void = builder.add_func_proto(0)
    first, second = builder.add_func("first", void), builder.add_func("second", void)
    lines = [LineInfo(at, "x.c", f"line {at}", at, 1) for at in (24, 0, 16, 8)]
    ext = build_btf_ext(
        functions={"tc": [FunctionInfo(16, second), FunctionInfo(0, first)]},
        lines={"tc": lines},
        core={},
        add_string=builder.add_string,
    )
    writer = ElfWriter(machine=EM_BPF)
    code = writer.add_section("tc", flags=PROGBITS_CODE, data=RETURN_ZERO * 2, alignment=8)
    writer.add_symbol("first", 0, 16, Binding.GLOBAL, SymbolType.FUNC, section=code)
    writer.add_symbol("second", 16, 16, Binding.GLOBAL, SymbolType.FUNC, section=code)
    writer.add_section(".BTF", data=builder.to_bytes())
    writer.add_section(".BTF.ext", data=ext)
    obj = osmia.open(writer.to_bytes())
    assert [(line.slot, line.text) for line in obj.source_lines("second")] == [
        (0, "line 16"),
        (1, "line 24"),
    ]
    assert obj.functions["second"].btf_id == second
