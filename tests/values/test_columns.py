"""Structured arrays: every field as decoding gives it, bitfields through their storage units."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.btf import Kind, kernel_btf
from osmia.values import (
    ArrayCodec,
    BytesCodec,
    Codec,
    StringCodec,
    Struct,
    StructCodec,
    WideIntCodec,
    codec,
)


def _assert_same(of: Codec, decoded: Any, cell: Any) -> None:
    """A decoded value, and the same bytes as numpy sees them."""
    match of:
        case StructCodec():
            assert isinstance(decoded, Struct)
            for field in of.fields:
                if field.codec.size and field.bits is None:
                    _assert_same(field.codec, decoded[field.name], cell[field.name])
        case ArrayCodec():
            assert len(decoded) == len(cell)
            for one, other in zip(decoded, cell, strict=True):
                _assert_same(of.element, one, other)
        case StringCodec():
            text = bytes(cell).split(b"\0")[0]
            assert decoded == text.decode("utf-8", "surrogateescape")
        case BytesCodec():
            assert decoded == cell.tobytes()
        case WideIntCodec():
            assert decoded == int.from_bytes(cell.tobytes(), of.byteorder, signed=of.signed)
        case _:
            assert decoded == cell or (decoded != decoded and cell != cell)


@pytest.mark.parametrize("name", ["flow", "event", "bits", "packed", "choice", "record", "clash"])
@given(data=st.data())
def test_numpy_agrees_with_decoding_in_every_field(
    compiled: Any, name: str, data: st.DataObject
) -> None:
    of = compiled.codec(name)
    raw = data.draw(st.binary(min_size=3 * of.size, max_size=3 * of.size))
    array = np.frombuffer(raw, of.dtype())
    assert array.dtype.itemsize == of.size
    for value, row in zip(of.iter_decode(raw), array, strict=True):
        _assert_same(of, value, row)


@pytest.mark.parametrize("name", ["bits", "packed"])
@given(data=st.data())
def test_columns_of_bitfields_have_their_values(
    compiled: Any, name: str, data: st.DataObject
) -> None:
    of = compiled.codec(name)
    raw = data.draw(st.binary(min_size=3 * of.size, max_size=3 * of.size))
    array = np.frombuffer(raw, of.dtype())
    for field in of.fields:
        decoded = [value[field.name] for value in of.iter_decode(raw)]
        assert of.column(array, field.name).tolist() == decoded


def test_nested_structs_and_arrays_keep_their_shape(compiled: Any) -> None:
    array = np.zeros(5, compiled.codec("event").dtype())
    assert array["grid"].shape == (5, 2, 3)
    assert array["pairs"].shape == (5, 2)
    assert array["pairs"]["second"].shape == (5, 2)
    assert array["mac"].shape == (5, 6)
    assert array["verdicts"].dtype.kind == "i"
    assert array["names"].dtype == "S4"


def test_the_targets_byte_order_is_kept(compiled: Any) -> None:
    order = "<" if compiled.btf.byteorder == "little" else ">"
    dtype = compiled.codec("flow").dtype()
    assert dtype["saddr"] == np.dtype(f"{order}u4")
    array = np.frombuffer(compiled.initial["flow"], dtype)
    assert array["bytes"][0] == 1500


def test_what_numpy_writes_decodes(compiled: Any) -> None:
    of = compiled.codec("flow")
    array = np.zeros(2, of.dtype())
    array["bytes"] = [1, 2]
    array[0]["saddr"] = 7
    rows = list(of.iter_decode(array.tobytes()))
    assert [(row.saddr, row.bytes) for row in rows] == [(7, 1), (0, 2)]


def test_anonymous_members_stand_beside_the_others_and_overlap(compiled: Any) -> None:
    dtype = compiled.codec("choice").dtype()
    assert dtype.names == ("kind", "v4", "v6", "port", "zone")
    array = np.zeros(1, dtype)
    array["v4"] = 0x11111111
    assert array["port"] == 0x1111 and bytes(array["v6"][0][:4]) == b"\x11" * 4


def test_bitfields_are_named_storage_units(compiled: Any) -> None:
    # u32 a:3, b:7, int c:5 | u64 d:40 | bool e:1 | enum f:4 | u8 g:8 | u16 plain
    of = compiled.codec("bits")
    names = of.dtype().names
    assert names[:2] == ("bits_0_u32", "bits_0_u64") and names[-1] == "plain"
    assert not {"a", "b", "c", "d", "e", "f"} & set(names)
    assert [of.dtype().fields[name][1] for name in names[:2]] == [0, 0]


def test_bitfields_across_units_are_bytes(compiled: Any) -> None:
    dtype = compiled.codec("packed").dtype()
    assert dtype.names == ("a", "bits_0_u32", "bits_3_bytes8", "d")
    assert dtype["bits_3_bytes8"].shape == (8,)


def test_a_storage_unit_takes_no_fields_name(raw_btf: Any) -> None:
    number = raw_btf.add_int("unsigned int", 4)
    members = [("a", number, 3 << 24), ("bits_0_u32", number, 32)]
    outer = raw_btf.add_struct("s", 8, *members, bitfields=True)
    of = codec(raw_btf.build(), outer)
    assert isinstance(of, StructCodec)
    assert of.dtype().names == ("bits_0_u32_", "bits_0_u32")


def test_flexible_arrays_are_left_out(compiled: Any) -> None:
    assert compiled.codec("record").dtype().names == ("id", "count")


@pytest.mark.parametrize("name", ["values", "nothing"])
def test_columns_that_are_not_there_are_key_errors(compiled: Any, name: str) -> None:
    of = compiled.codec("record")
    with pytest.raises(KeyError):
        of.column(np.zeros(1, of.dtype()), name)


def test_columns_of_nested_arrays_keep_their_shape(raw_btf: Any) -> None:
    number = raw_btf.add_int("unsigned int", 4)
    inner = raw_btf.add_struct("inner", 4, ("a", number, 3 << 24 | 2), bitfields=True)
    outer = raw_btf.add_struct("outer", 8, ("rows", raw_btf.add_array(inner, 2), 0))
    btf = raw_btf.build()
    array = np.frombuffer(bytes([4, 0, 0, 0, 8, 0, 0, 0] * 3), codec(btf, outer).dtype())
    column = codec(btf, inner).column(array["rows"], "a")  # type: ignore[attr-defined]
    assert column.tolist() == [[1, 2]] * 3


@pytest.mark.parametrize("name", ["task_struct", "sk_buff", "sock", "iphdr", "bpf_prog"])
def test_kernel_structs_are_the_same_to_numpy(name: str) -> None:
    btf = kernel_btf()
    of = codec(btf, btf.find(name, Kind.STRUCT))
    raw = bytes((11 * index + 5) % 253 for index in range(of.size))
    array = np.frombuffer(raw, of.dtype())
    assert isinstance(of, StructCodec)
    value = of.decode(raw)
    _assert_same(of, value, array[0])
    for field in of.fields:
        if field.bits is not None:
            assert of.column(array, field.name)[0] == value[field.name]


def test_numpy_is_not_imported_before_it_is_needed() -> None:
    program = "import sys, osmia.values; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
