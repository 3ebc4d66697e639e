"""Integers, truth values, pointers, floats, arrays and enums: what they take and what they give."""

import ipaddress
import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.errors import CodecError, OsmiaError
from osmia.values import (
    ArrayCodec,
    BoolCodec,
    BytesCodec,
    Codec,
    EnumCodec,
    EnumMember,
    FloatCodec,
    IntCodec,
    PointerCodec,
    StringCodec,
    WideIntCodec,
)

ORDERS = ["little", "big"]
U16 = IntCodec(2, False, "u16", "little")
S16 = IntCodec(2, True, "s16", "little")
BOOL = BoolCodec("bool", "little")
TEXT = StringCodec(8, "char[8]", "little")
MAC = BytesCodec(6, "u8[6]", "little")
PORTS = ArrayCodec(U16, 3, "u16[3]", "little")
VERDICT = EnumCodec(
    [("DROP", 1), ("PASS", 2), ("OK", 2), ("WORSE", -1)], 4, True, "enum verdict", "little"
)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [1, 2, 4, 8, 3, 16])
@given(data=st.data())
def test_integers_round_trip(order: Any, size: int, data: st.DataObject) -> None:
    signed = data.draw(st.booleans())
    low = -(1 << 8 * size - 1) if signed else 0
    number = data.draw(st.integers(low, low + (1 << 8 * size) - 1))
    kind = IntCodec if size in (1, 2, 4, 8) else WideIntCodec
    of = kind(size, signed, "integer", order)
    encoded = of.encode(number)
    assert encoded == number.to_bytes(size, order, signed=signed)
    assert of.decode(b"\xff" + encoded + b"\xff", 1) == number


@pytest.mark.parametrize(
    ("of", "value", "message"),
    [
        (U16, 65536, r"65536 does not fit u16 \(0 to 65535\)"),
        (U16, -1, r"-1 does not fit u16"),
        (S16, 32768, r"\(-32768 to 32767\)"),
        (WideIntCodec(16, False, "u128", "little"), 1 << 128, "does not fit u128"),
        (U16, "80", "str is no value for u16: '80'"),
        (U16, 1.5, "float is no value for u16"),
        (U16, None, "NoneType is no value for u16"),
        (U16, b"abc", "u16 has 2 bytes, not 3"),
        (BOOL, 2, "int is no value for bool"),
        (BOOL, "yes", "str is no value for bool"),
        (FloatCodec(4, "float", "little"), 1e300, "does not fit float"),
        (FloatCodec(8, "double", "little"), "x", "str is no value for double"),
        (TEXT, "ninebytes", r"has 9 bytes, char\[8\] 8"),
        (TEXT, 5, r"int is no value for char\[8\]"),
        (TEXT, "\ud800", "no text"),
        (MAC, b"12345", r"u8\[6\] has 6 bytes, not 5"),
        (MAC, "123456", "str is no value"),
        (MAC, [0, 0, 300, 0, 0, 0], r"\[2\]: 300 does not fit a byte"),
        (PORTS, [1, 2], r"u16\[3\] has 3 elements, not 2"),
        (PORTS, [1, 2, 70000], r"\[2\]: 70000 does not fit u16"),
        (PORTS, 5, "int is no value"),
        (VERDICT, "PASSED", "enum verdict has no 'PASSED'; did you mean 'PASS'"),
        (VERDICT, 1 << 31, "does not fit enum verdict"),
    ],
)
def test_values_that_do_not_fit_are_refused_in_words(of: Codec, value: Any, message: str) -> None:
    with pytest.raises(CodecError, match=message) as caught:
        of.encode(value)
    assert isinstance(caught.value, OsmiaError | ValueError | TypeError)


@pytest.mark.parametrize(
    "of", [U16, BOOL, TEXT, MAC, PORTS, VERDICT, WideIntCodec(16, True, "s128", "little")]
)
def test_missing_bytes_are_refused_in_words(of: Codec) -> None:
    with pytest.raises(CodecError, match=f"needs {of.size} bytes; {of.size - 1} are left"):
        of.decode(bytes(of.size - 1))
    with pytest.raises(CodecError, match="0 are left"):
        of.decode(bytes(of.size), of.size + 5)


def test_exact_bytes_are_taken_as_they_are() -> None:
    assert U16.encode(memoryview(b"\1\2")) == b"\1\2"
    assert PORTS.encode(bytearray(6)) == bytes(6)
    assert VERDICT.encode(b"\2\0\0\0") == b"\2\0\0\0"


def test_what_acts_as_an_integer_is_one() -> None:
    assert U16.encode(np.uint16(7)) == b"\7\0"
    assert U16.encode(True) == b"\1\0"
    assert BOOL.encode(np.bool_(True)) == BOOL.encode(1) == b"\1"
    assert PORTS.encode(np.array([1, 2, 3])) == PORTS.encode(iter([1, 2, 3]))


def test_addresses_are_not_guessed() -> None:
    of = IntCodec(4, False, "u32", "little")
    with pytest.raises(CodecError):
        of.encode(ipaddress.ip_address("10.0.0.1"))
    assert of.encode(ipaddress.ip_address("10.0.0.1").packed) == b"\x0a\0\0\1"


def test_any_bit_makes_a_truth_value_true() -> None:
    assert BOOL.decode(b"\x80") is True
    assert BOOL.decode(b"\0") is False


def test_pointers_are_addresses() -> None:
    of = PointerCodec(8, "struct task_struct *", "little")
    assert of.decode(b"\xff" * 8) == 2**64 - 1
    assert of.initialiser(0xFFFF888012345678) == "0xffff888012345678"


@pytest.mark.parametrize("size", [2, 4, 8])
def test_floats_round_trip(size: int) -> None:
    of = FloatCodec(size, "float", "big")
    assert of.decode(of.encode(-1.5)) == -1.5
    assert of.encode(2) == of.encode(2.0)


def test_text_ends_at_its_nul() -> None:
    assert TEXT.decode(b"sshd\0xyz") == "sshd"
    assert TEXT.decode(b"12345678") == "12345678"
    assert TEXT.encode("sshd") == b"sshd\0\0\0\0"
    assert TEXT.encode(b"ssh") == b"ssh\0\0\0\0\0"
    assert TEXT.encode("12345678") == b"12345678"


@given(st.binary(min_size=8, max_size=8).filter(lambda data: 0 not in data))
def test_text_that_is_no_text_round_trips(data: bytes) -> None:
    assert TEXT.encode(TEXT.decode(data)) == data


def test_other_bytes_stay_bytes() -> None:
    assert MAC.decode(b"\0\1\2\3\4\5\6", 1) == b"\1\2\3\4\5\6"
    assert MAC.encode([0, 1, -1, 3, 4, 255]) == b"\0\1\xff\3\4\xff"


def test_arrays_are_tuples_in_every_dimension() -> None:
    grid = ArrayCodec(PORTS, 2, "u16[2][3]", "little")
    value = grid.decode(bytes(range(12)))
    assert value == ((0x100, 0x302, 0x504), (0x706, 0x908, 0xB0A))
    assert grid.encode(value) == bytes(range(12))
    with pytest.raises(CodecError, match=r"^\[1\]\[0\]: -1 does not fit"):
        grid.encode([[1, 2, 3], [-1, 2, 3]])


def test_many_values_lie_one_after_the_other() -> None:
    assert list(U16.iter_decode(bytes([1, 0, 2, 0]))) == [1, 2]
    with pytest.raises(CodecError, match="3 bytes are no whole number of u16"):
        list(U16.iter_decode(bytes(3)))


def test_long_arrays_print_their_start() -> None:
    of = BytesCodec(1500, "u8[1500]", "little")
    assert of.initialiser(bytes(1500)).endswith("0x00, …}")
    assert len(of.initialiser(bytes(1500))) < 250


def test_text_prints_as_c_would_write_it() -> None:
    assert TEXT.initialiser('a"\\\n\x01é') == '"a\\"\\\\\\n\\001é"'


def test_enum_members_are_integers_with_a_name() -> None:
    value = VERDICT.decode(b"\2\0\0\0")
    assert value == 2 and isinstance(value, int) and isinstance(value, EnumMember)
    assert (value.name, value.value) == ("PASS", 2)
    assert repr(value) == str(value) == f"{value}" == "PASS"
    assert f"{value:03d}" == "002"
    assert value is VERDICT.decode(b"\2\0\0\0")
    assert VERDICT.decode(b"\xff\xff\xff\xff").name == "WORSE"
    assert {2: "two"}[value] == "two"
    assert json.dumps(value) == "2"
    assert pickle.loads(pickle.dumps(value)) == 2


def test_enum_values_without_a_name_are_numbers() -> None:
    value = VERDICT.decode(b"\x09\0\0\0")
    assert value == 9 and value.name is None and repr(value) == "9"


def test_enumerators_are_there_by_name() -> None:
    verdict: Any = VERDICT.type
    assert verdict.PASS == 2 and verdict.OK == 2
    assert dict(verdict.members) == {"DROP": 1, "PASS": 2, "OK": 2, "WORSE": -1}
    assert VERDICT.encode("OK") == VERDICT.encode(verdict.PASS) == VERDICT.encode(2)
    match VERDICT.decode(b"\1\0\0\0"):
        case verdict.DROP:
            pass
        case other:
            pytest.fail(f"matched {other}")


@pytest.mark.parametrize("of", [U16, S16, BOOL, PORTS, VERDICT, FloatCodec(8, "double", "big")])
def test_numpy_types_have_the_same_size(of: Codec) -> None:
    assert of.dtype().itemsize == of.size
