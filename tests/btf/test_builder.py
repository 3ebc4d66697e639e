"""Building BTF: what is put in comes out, and the bytes do not depend on the way."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osmia.btf import (
    BTF,
    Array,
    BTFBuilder,
    Const,
    DataSec,
    DeclTag,
    Enum,
    Enum64,
    EnumValue,
    Float,
    Func,
    FuncProto,
    Fwd,
    Int,
    IntEncoding,
    Kind,
    Member,
    Parameter,
    Ptr,
    Restrict,
    SectionVariable,
    Struct,
    Type,
    Typedef,
    TypeTag,
    Union,
    Var,
    Volatile,
    kernel_btf,
)
from osmia.btf.layout import ByteOrder
from osmia.errors import ObjectFormatError

zero = st.just(0)
names = st.sampled_from(["", "a", "b", "ab", "int", "print", "t", "ß", "\udc80", "long name"])
ids = st.integers(0, 40)
u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u24 = st.integers(0, 0xFF_FFFF)
u32 = st.integers(0, 0xFFFF_FFFF)
s32 = st.integers(-(1 << 31), (1 << 31) - 1)
u64 = st.integers(0, (1 << 64) - 1)
s64 = st.integers(-(1 << 63), (1 << 63) - 1)
encodings = st.sampled_from([IntEncoding(value) for value in (0, 1, 2, 4)])
yes, no = st.just(True), st.just(False)


def make(of: Callable[..., Any], *fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(*fields).map(lambda values: of(*values))


def several(of: Callable[..., Any], *fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(make(of, *fields), max_size=3).map(tuple)


members = several(Member, names, ids, u32)
bitfields = several(Member, names, ids, u24, u8)
types: st.SearchStrategy[Type] = st.one_of(
    make(Int, zero, names, u32, encodings, u8, u8),
    make(Ptr, zero, names, ids),
    make(Array, zero, names, ids, ids, u32),
    make(Struct, zero, names, u32, members, no),
    make(Struct, zero, names, u32, bitfields, yes),
    make(Union, zero, names, u32, members, no),
    make(Union, zero, names, u32, bitfields, yes),
    make(Enum, zero, names, u32, no, several(EnumValue, names, u32)),
    make(Enum, zero, names, u32, yes, several(EnumValue, names, s32)),
    make(Enum64, zero, names, u32, no, several(EnumValue, names, u64)),
    make(Enum64, zero, names, u32, yes, several(EnumValue, names, s64)),
    make(Fwd, zero, names, st.booleans()),
    make(Typedef, zero, names, ids),
    make(Volatile, zero, names, ids),
    make(Const, zero, names, ids),
    make(Restrict, zero, names, ids),
    make(Func, zero, names, ids, u16),
    make(FuncProto, zero, names, ids, several(Parameter, names, ids)),
    make(Var, zero, names, ids, u32),
    make(DataSec, zero, names, u32, several(SectionVariable, ids, u32, u32)),
    make(Float, zero, names, u32),
    make(DeclTag, zero, names, ids, s32, st.booleans()),
    make(TypeTag, zero, names, ids, st.booleans()),
)


def build(found: list[Type], byteorder: ByteOrder, base: BTF | None = None) -> BTF:
    builder = BTFBuilder(base, byteorder)
    for entry in found:
        builder.add(entry)
    return builder.build()


@given(st.lists(types, max_size=6), st.sampled_from(["little", "big"]))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_types_come_back_as_they_were_added(found: list[Type], byteorder: ByteOrder) -> None:
    btf = build(found, byteorder)
    read = BTF(btf.to_bytes())
    assert read.byteorder == byteorder
    assert [read.type(i)._replace(id=0) for i in read] == found
    assert [read.type(i).id for i in read] == list(range(1, len(found) + 1))


@given(st.lists(types, max_size=6), st.sampled_from(["little", "big"]))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_editing_nothing_changes_no_byte(found: list[Type], byteorder: ByteOrder) -> None:
    data = build(found, byteorder).to_bytes()
    assert BTFBuilder.edit(BTF(data)).to_bytes() == data


@given(st.lists(types, max_size=6), st.lists(types, max_size=6))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_split_types_come_back_behind_those_of_their_base(
    first: list[Type], second: list[Type]
) -> None:
    base = build(first, "little")
    split = build(second, "little", base)
    read = BTF(split.to_bytes(), base=base)
    assert [read.type(i)._replace(id=0) for i in read] == first + second
    assert BTFBuilder.edit(read).to_bytes() == split.to_bytes()


@given(st.lists(types, min_size=1, max_size=6))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_every_name_is_found_and_only_where_it_is(found: list[Type]) -> None:
    btf = build(found, "little")
    for name in {entry.name for entry in found} - {""}:
        expected = tuple(number for number, entry in enumerate(found, 1) if entry.name == name)
        assert btf.find_all(name) == expected
        assert btf.find(name) == expected[0]


def test_the_kernels_btf_comes_back_type_by_type() -> None:
    btf = kernel_btf()
    builder = BTFBuilder()
    chosen = range(1, 5000)
    for type_id in chosen:
        builder.add(btf.type(type_id))
    built = builder.build()
    assert all(built.type(type_id) == btf.type(type_id) for type_id in chosen)


def test_convenient_methods_say_what_they_mean() -> None:
    builder = BTFBuilder()
    u32_id = builder.add_int("unsigned int", 4)
    flags = builder.add_struct("flags", 4, [("low", u32_id, 0, 3), ("high", u32_id, 3, 29)])
    union = builder.add_union("both", 4, [("word", u32_id, 0), ("flags", flags, 0)])
    pointer = builder.add_ptr(builder.add_const(union))
    array = builder.add_array(pointer, u32_id, 3)
    prototype = builder.add_func_proto(u32_id, [("first", array), ("", 0)])
    function = builder.add_func("run", prototype)
    variable = builder.add_var("state", array)
    section = builder.add_datasec(".data", 24, [(variable, 0, 24)])
    tag = builder.add_decl_tag("hot", flags, 1)
    btf = builder.build()
    found: dict[int, Any] = {type_id: btf.type(type_id) for type_id in btf}
    assert found[flags].bitfields
    assert not found[union].bitfields
    assert btf.size_of(array) == 24
    assert found[function].type_id == prototype
    assert found[section].entries == ((variable, 0, 24),)
    assert found[tag].component == 1
    assert btf.find("both", Kind.UNION) == union
    assert len(btf) == len(builder)


def test_types_that_were_read_and_cannot_be_written_are_an_error_of_the_file() -> None:
    builder = BTFBuilder()
    number = builder.add_int("int", 4)
    function = builder.add(Func(0, "hostile", builder.add_func_proto(number, []), 0))
    data = bytearray(builder.to_bytes())
    data[BTF(bytes(data)).record_offset(function) + 4 + 2] = 1
    btf = BTF(bytes(data), name="hostile.o")
    for write in (BTFBuilder.edit, BTFBuilder().extend):
        with pytest.raises(ObjectFormatError, match=r"hostile.o: type 3: .*65536 entries"):
            write(btf)


def test_a_string_is_stored_once_and_not_again_in_split_btf() -> None:
    builder = BTFBuilder()
    assert builder.add_string("int") == builder.add_string("int") == 1
    split = BTFBuilder(builder.build())
    assert split.add_string("int") == 1
    assert split.add_string("long") == 5
    assert split.add_string("") == 0


def test_ids_are_mapped_and_void_stays_void() -> None:
    builder = BTFBuilder()
    builder.add(Ptr(0, "", 0), {})
    builder.add(Ptr(0, "", 7), {7: 1})
    builder.add(Ptr(0, "", 7), lambda type_id: type_id - 6)
    btf = builder.build()
    pointers: list[Any] = [btf.type(type_id) for type_id in btf]
    assert [pointer.target for pointer in pointers] == [0, 1, 1]
    with pytest.raises(ValueError, match="no type 8"):
        builder.add(Ptr(0, "", 8), {7: 1})


def test_a_type_can_be_replaced() -> None:
    builder = BTFBuilder()
    point = builder.add_fwd("point")
    builder.replace(point, Struct(0, "point", 0, ()))
    assert builder.build().kind_of(point) == Kind.STRUCT
    with pytest.raises(ValueError, match="type 2 was not added"):
        builder.replace(2, Ptr(0, "", 0))


@pytest.mark.parametrize(
    "found",
    [
        Int(0, "int", -4, IntEncoding.SIGNED, 32),
        Int(0, "int", 4, IntEncoding.SIGNED, 256),
        Ptr(0, "", 1 << 32),
        Ptr(0, "nul\0", 0),
        Struct(0, "s", 1, (Member("x", 1, 1 << 24, 1),), True),
        Struct(0, "s", 1, (Member("x", 1, 0, 1),), False),
        Struct(0, "s", 1, (Member("x", 1, 0),) * 65536),
        Enum(0, "e", 4, False, (EnumValue("X", -1),)),
        Enum64(0, "e", 8, True, (EnumValue("X", 1 << 63),)),
    ],
)
def test_what_btf_cannot_say_is_refused(found: Type) -> None:
    with pytest.raises(ValueError, match=r"."):
        BTFBuilder().add(found)
