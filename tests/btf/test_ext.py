"""`.BTF.ext`: read back what was written, and nothing that reaches outside."""

import struct
from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osmia.btf import (
    BTFBuilder,
    BTFExt,
    CoreInfo,
    FunctionInfo,
    LineInfo,
    build_btf_ext,
)
from osmia.btf.layout import ByteOrder
from osmia.errors import ObjectFormatError

sections = st.sampled_from(["xdp", "tc", ".text", "tp/x"])
texts = st.sampled_from(["", "flows.bpf.c", "return 1;", "0:1:2"])
u32 = st.integers(0, 0xFFFF_FFFF)


def by_section(record: st.SearchStrategy) -> st.SearchStrategy:
    return st.dictionaries(sections, st.lists(record, min_size=1, max_size=3), max_size=3)


lines = st.tuples(u32, texts, texts, st.integers(0, (1 << 22) - 1), st.integers(0, 1023))


@given(
    by_section(st.tuples(u32, u32).map(FunctionInfo._make)),
    by_section(lines.map(LineInfo._make)),
    by_section(st.tuples(u32, u32, texts, u32).map(CoreInfo._make)),
    st.sampled_from(["little", "big"]),
)
@settings(derandomize=True, deadline=None, max_examples=60)
def test_what_is_written_is_read_back(
    functions: dict[str, list[FunctionInfo]],
    lines: dict[str, list[LineInfo]],
    core: dict[str, list[CoreInfo]],
    byteorder: ByteOrder,
) -> None:
    builder = BTFBuilder(byteorder=byteorder)
    data = build_btf_ext(
        functions=functions,
        lines=lines,
        core=core,
        add_string=builder.add_string,
        byteorder=byteorder,
    )
    read = BTFExt(data, builder.build())
    assert read.functions == functions
    assert read.lines == lines
    assert read.core == core


def example(**changes: object) -> tuple[bytearray, BTFBuilder]:
    builder = BTFBuilder()
    contents: dict[str, Any] = {
        "functions": {"xdp": [FunctionInfo(0, 3)]},
        "lines": {"xdp": [LineInfo(0, "a.c", "return 1;", 7, 3)]},
        "core": {"xdp": [CoreInfo(8, 2, "0:1", 0)]},
    } | changes
    return bytearray(build_btf_ext(add_string=builder.add_string, **contents)), builder


def test_line_records_are_kept_as_the_kernel_takes_them() -> None:
    data, builder = example()
    file, text = builder.add_string("a.c"), builder.add_string("return 1;")
    read = BTFExt(data, builder.build())
    assert read.line_words == {"xdp": array("I", [0, file, text, 7 << 10 | 3])}


def test_large_lines_and_columns_are_cut() -> None:
    data, builder = example(lines={"xdp": [LineInfo(0, "", "", 1 << 23, 5000)]})
    assert BTFExt(data, builder.build()).lines == {
        "xdp": [LineInfo(0, "", "", (1 << 22) - 1, 1023)]
    }


def test_longer_records_of_a_newer_compiler_are_read_as_far_as_known() -> None:
    builder = BTFBuilder()
    name = builder.add_string("xdp")
    functions = struct.pack("<9I", 16, name, 2, 0, 3, 77, 78, 8, 4) + struct.pack("<2I", 79, 80)
    header = struct.pack("<HBB5I", 0xEB9F, 1, 0, 24, 0, len(functions), len(functions), 0)
    read = BTFExt(header + functions, builder.build())
    assert read.functions == {"xdp": [(0, 3), (8, 4)]}
    assert read.lines == {}
    assert read.core == {}


def test_no_records_make_empty_parts() -> None:
    data, builder = example(functions={}, lines={"xdp": []}, core={})
    read = BTFExt(data, builder.build())
    assert (read.functions, read.lines, read.core) == ({}, {}, {})
    assert len(data) == 32


def read_everything(data: bytes | bytearray, builder: BTFBuilder) -> None:
    read = BTFExt(data, builder.build())
    assert (read.functions, read.lines, read.core) is not None


@pytest.mark.parametrize(
    ("offset", "word", "problem"),
    [
        (0, 0x0101EB9E, "magic"),
        (0, 0x0002EB9F, "version 2"),
        (4, 20, "header length"),
        (4, 1 << 31, "header length"),
        (12, 1 << 20, "functions reach past the end"),
        (16, 0xFFFF_FFF0, "lines reach past the end"),
        (12, 6, "are cut off"),
        (32, 4, "of 4 bytes each"),
        (32, 10, "of 10 bytes each"),
        (36, 0xFFFF, "string offset 65535"),
        (40, 0xFFFF_FFFF, "a section of 4294967295 records"),
        (40, 0, "a section of 0 records"),
    ],
)
def test_what_cannot_be_is_refused(offset: int, word: int, problem: str) -> None:
    data, builder = example()
    struct.pack_into("<I", data, offset, word)
    with pytest.raises(ObjectFormatError, match=problem):
        read_everything(data, builder)


def test_every_truncation_is_refused() -> None:
    data, builder = example()
    for size in range(len(data)):
        with pytest.raises(ObjectFormatError):
            read_everything(data[:size], builder)


def test_the_byte_order_must_be_that_of_the_btf() -> None:
    data, _ = example()
    with pytest.raises(ObjectFormatError, match="differ in byte order"):
        BTFExt(data, BTFBuilder(byteorder="big").build())
