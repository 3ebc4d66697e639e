"""Codecs from BTF: against the compiler's own bytes, the kernel's types, and hostile types."""

import gc
import struct
import time
import weakref
from typing import Any

import pytest

from osmia.btf import BTF, Kind, kernel_btf
from osmia.btf import types as btf_types
from osmia.errors import ObjectFormatError
from osmia.values import ArrayCodec, Codec, StructCodec, codec, plain_codec

INITIALISED: dict[str, dict[str, Any]] = {
    "flow": {
        "saddr": 0x0A000001,
        "daddr": 0x0A000002,
        "sport": 40000,
        "dport": 443,
        "bytes": 1500,
    },
    "event": {
        "tiny": -2,
        "wide": -3000000000,
        "yes": True,
        "verdict": -1,
        "big": 0x123456789ABCDEF,
        "ratio": 0.5,
        "share": 0.25,
        "comm": "systemd",
        "mac": b"\2\0\0\0\0\x09",
        "pair": {"first": 1, "second": 2},
        "pairs": [{"first": 3, "second": 4}, {"first": 5, "second": 6}],
        "grid": [[1, 2, 3], [4, 5, 6]],
        "names": ["ab", "wxyz"],
        "verdicts": [2, 7],
        "enormous": -5,
    },
    "bits": {
        "a": 5,
        "b": 100,
        "c": -9,
        "d": 0xABCDEF1234,
        "e": True,
        "f": 7,
        "g": 200,
        "plain": 777,
    },
    "packed": {"a": 1, "b": 0x1ABCD, "c": 0x987654321FEDCBA, "d": 0xDEADBEEF},
    "clash": {"keys": 1, "class": 2, "values": 3, "values_": 4},
}


@pytest.mark.parametrize("name", INITIALISED)
def test_values_are_those_that_the_compiler_stored(compiled: Any, name: str) -> None:
    value = compiled.codec(name).decode(compiled.initial[name])
    assert value.to_dict() == INITIALISED[name]


@pytest.mark.parametrize("name", INITIALISED)
def test_bytes_are_those_that_the_compiler_stored(compiled: Any, name: str) -> None:
    assert compiled.codec(name).encode(INITIALISED[name]) == compiled.initial[name]


def test_union_members_are_fields_of_the_struct_around_it(compiled: Any) -> None:
    of = compiled.codec("choice")
    value = of.decode(compiled.initial["choice"])
    assert list(value) == ["kind", "v4", "v6", "port", "zone"]
    assert value.v4 == 0xC0A80001
    assert value.v6[:4] == compiled.initial["choice"][4:8]
    ports = (0x0001, 0xC0A8) if compiled.btf.byteorder == "little" else (0xC0A8, 0x0001)
    assert (value.port, value.zone) == ports
    assert of.encode({"kind": 4, "v4": 0xC0A80001}) == compiled.initial["choice"]


def test_a_variable_is_its_type_without_qualifiers(compiled: Any) -> None:
    assert compiled.codec("number").decode(compiled.initial["number"]) == 42


def test_a_data_section_is_a_struct_of_its_variables(compiled: Any) -> None:
    section = compiled.btf.type(compiled.btf.find(".data.values", Kind.DATASEC))
    # Compilers leave size and offsets to the loader.
    assert section.size == 0
    with pytest.raises(ObjectFormatError, match="outside the section"):
        codec(compiled.btf, section.id)


def test_a_loaded_data_section_is_a_struct_of_its_variables(raw_btf: Any) -> None:
    number = raw_btf.add_int("int", 4)
    first = raw_btf.add(Kind.VAR, "first", number, 1)
    second = raw_btf.add(Kind.VAR, "second", number, 1)
    words = (first, 0, 4, second, 8, 4)
    section = raw_btf.add(Kind.DATASEC, ".data", 16, *words, vlen=2)
    value = codec(raw_btf.build(), section).decode(struct.pack("<4I", 1, 2, 3, 4))
    assert dict(value) == {"first": 1, "second": 3}


def test_codecs_are_made_once(compiled: Any) -> None:
    assert compiled.codec("flow") is compiled.codec("flow")


def test_codecs_do_not_keep_their_btf(compiled: Any) -> None:
    btf = BTF(compiled.btf.to_bytes())
    of = codec(btf, btf.find("event"))
    assert of.decode(compiled.initial["event"]).comm == "systemd"
    known = weakref.ref(btf)
    del btf
    gc.collect()
    assert known() is None


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_bytes_without_a_type_are_integers_where_one_has_that_size(size: int) -> None:
    of = plain_codec(size)
    assert of.encode(3) == (3).to_bytes(size, "little")
    assert of.decode((3).to_bytes(size, "little")) == 3
    assert plain_codec(size, "big").encode(3) == (3).to_bytes(size, "big")


def test_other_bytes_without_a_type_stay_bytes() -> None:
    assert plain_codec(6).decode(b"abcdefgh", 1) == b"bcdefg"


def test_kernel_structs_have_the_members_that_btf_says() -> None:
    btf = kernel_btf()
    of = codec(btf, btf.find("task_struct", Kind.STRUCT))
    declared = btf.type(btf.find("task_struct", Kind.STRUCT))
    assert isinstance(of, StructCodec) and isinstance(declared, btf_types.Struct)
    assert of.size == declared.size
    offsets = {member.name: member.bit_offset // 8 for member in declared.members}
    data = bytearray(of.size)
    data[offsets["pid"] : offsets["pid"] + 4] = (4321).to_bytes(4, btf.byteorder)
    data[offsets["comm"] : offsets["comm"] + 4] = b"bees"
    task = of.decode(data)
    assert (task.pid, task.comm, task.tgid) == (4321, "bees", 0)


def test_kernel_bitfields_read_as_their_header_says() -> None:
    # An IPv4 header's first byte: the version is its upper half, the length its lower one.
    btf = kernel_btf()
    header = codec(btf, btf.find("iphdr", Kind.STRUCT)).decode(b"\x45" + bytes(19))
    assert (header.version, header.ihl) == (4, 5)


def _has_overlaps(of: Codec) -> bool:
    match of:
        case StructCodec():
            return of.overlapping or any(_has_overlaps(field.codec) for field in of.fields)
        case ArrayCodec():
            return _has_overlaps(of.element)
    return False


def test_kernel_structs_round_trip() -> None:
    btf = kernel_btf()
    ids = btf.ids_of_kind(Kind.STRUCT)[::23] + btf.ids_of_kind(Kind.UNION)[::23]
    from_parts = 0
    for type_id in ids:
        of = codec(btf, type_id)
        assert of.size == btf.size_of(type_id)
        data = bytes((7 * index + 3) % 251 for index in range(of.size))
        value = of.decode(data)
        assert of.encode(value) == data
        if not _has_overlaps(of):
            assert of.decode(of.encode(value.to_dict())) == value
            from_parts += 1
    assert from_parts > 200


@pytest.mark.parametrize("kind", [Kind.VOID, Kind.FWD, Kind.FUNC, Kind.FUNC_PROTO])
def test_types_without_values_are_refused(raw_btf: Any, kind: Kind) -> None:
    proto = raw_btf.add(Kind.FUNC_PROTO, "", 0)
    ids = {
        Kind.VOID: 0,
        Kind.FUNC_PROTO: proto,
        Kind.FUNC: raw_btf.add(Kind.FUNC, "f", proto),
        Kind.FWD: raw_btf.add(Kind.FWD, "gone", 0),
    }
    with pytest.raises(ObjectFormatError, match="has no values"):
        codec(raw_btf.build(), ids[kind])


def test_an_id_that_does_not_exist_is_refused(raw_btf: Any) -> None:
    with pytest.raises(ObjectFormatError):
        codec(raw_btf.build(), 77)


def test_a_struct_that_contains_itself_is_refused(raw_btf: Any) -> None:
    raw_btf.add_struct("ouroboros", 8, ("self", 1, 0))
    with pytest.raises(ObjectFormatError, match="contains itself"):
        codec(raw_btf.build(), 1)


def test_an_anonymous_struct_that_contains_itself_is_refused(raw_btf: Any) -> None:
    raw_btf.add_struct("", 8, ("", 1, 0))
    with pytest.raises(ObjectFormatError, match="nested too deeply"):
        codec(raw_btf.build(), 1)


def test_structs_nested_too_deeply_are_refused(raw_btf: Any) -> None:
    last = raw_btf.add_int("int", 4)
    for level in range(5000):
        last = raw_btf.add_struct(f"level{level}", 4, ("inner", last, 0))
    with pytest.raises(ObjectFormatError, match="nested too deeply"):
        codec(raw_btf.build(), last)


def test_arrays_nested_too_deeply_are_refused(raw_btf: Any) -> None:
    last = raw_btf.add_int("int", 4)
    for _ in range(5000):
        last = raw_btf.add_array(last, 1)
    with pytest.raises(ObjectFormatError):
        codec(raw_btf.build(), last)


@pytest.mark.parametrize("bit_offset", [32, 1 << 31, 33, 4])
def test_members_outside_their_struct_are_refused(raw_btf: Any, bit_offset: int) -> None:
    number = raw_btf.add_int("int", 4)
    outer = raw_btf.add_struct("small", 4, ("a", number, bit_offset))
    with pytest.raises(ObjectFormatError, match=r"small\.a lies outside"):
        codec(raw_btf.build(), outer)


def test_bitfields_outside_their_struct_are_refused(raw_btf: Any) -> None:
    number = raw_btf.add_int("int", 4)
    outer = raw_btf.add_struct("small", 4, ("a", number, 5 << 24 | 30), bitfields=True)
    with pytest.raises(ObjectFormatError, match=r"small\.a lies outside"):
        codec(raw_btf.build(), outer)


def test_bitfields_wider_than_their_type_are_refused(raw_btf: Any) -> None:
    number = raw_btf.add_int("int", 4)
    outer = raw_btf.add_struct("small", 16, ("a", number, 40 << 24), bitfields=True)
    with pytest.raises(ObjectFormatError, match="more bits than its type"):
        codec(raw_btf.build(), outer)


def test_bitfields_of_structs_are_refused(raw_btf: Any) -> None:
    number = raw_btf.add_int("int", 4)
    inner = raw_btf.add_struct("inner", 4, ("a", number, 0))
    outer = raw_btf.add_struct("outer", 16, ("b", inner, 3 << 24), bitfields=True)
    with pytest.raises(ObjectFormatError, match="cannot be a bitfield"):
        codec(raw_btf.build(), outer)


def test_members_of_one_name_are_refused(raw_btf: Any) -> None:
    number = raw_btf.add_int("int", 4)
    outer = raw_btf.add_struct("twins", 8, ("a", number, 0), ("a", number, 32))
    with pytest.raises(ObjectFormatError, match="two members named 'a'"):
        codec(raw_btf.build(), outer)


@pytest.mark.alone
def test_anonymous_structs_that_multiply_are_refused_quickly(raw_btf: Any) -> None:
    last = raw_btf.add_struct("", 8)
    for _ in range(30):
        last = raw_btf.add_struct("", 8, ("", last, 0), ("", last, 0))
    start = time.monotonic()
    with pytest.raises(ObjectFormatError, match="members in all"):
        codec(raw_btf.build(), last)
    assert time.monotonic() - start < 5


def test_named_structs_that_multiply_are_refused_quickly(raw_btf: Any) -> None:
    last = raw_btf.add_int("int", 4)
    for _ in range(30):
        last = raw_btf.add_struct("level", 4, ("a", last, 0), ("b", last, 0))
    with pytest.raises(ObjectFormatError, match="too many members for its size"):
        codec(raw_btf.build(), last)


def test_a_huge_array_costs_nothing_until_it_is_decoded(raw_btf: Any) -> None:
    number = raw_btf.add_int("int", 4)
    array = raw_btf.add_array(number, 0x3FFFFFFF)
    of = codec(raw_btf.build(), array)
    with pytest.raises(ValueError, match="4 are left"):
        of.decode(bytes(4))


def test_an_array_of_nothing_has_no_elements_however_many_it_claims(raw_btf: Any) -> None:
    empty = raw_btf.add_struct("empty", 0)
    array = raw_btf.add_array(empty, 0xFFFFFFFF)
    assert codec(raw_btf.build(), array).decode(b"") == ()


def test_an_array_beyond_4_gib_is_refused(raw_btf: Any) -> None:
    array = raw_btf.add_array(raw_btf.add_int("int", 4), 0xFFFFFFFF)
    with pytest.raises(ObjectFormatError, match="4 GiB"):
        codec(raw_btf.build(), array)


def test_integers_of_odd_sizes_are_read_too(raw_btf: Any) -> None:
    odd = raw_btf.add(Kind.INT, "_BitInt(24)", 3, 24)
    of = codec(raw_btf.build(), odd)
    assert of.decode(b"\1\0\2") == 0x20001
    assert of.encode(0x20001) == b"\1\0\2"


def test_bitfields_of_old_compilers_are_in_the_integers_type(raw_btf: Any) -> None:
    # Before the kind flag: an int of which 5 bits are used, from bit 3 on.
    narrow = raw_btf.add(Kind.INT, "unsigned int", 4, 0 << 16 | 5)
    outer = raw_btf.add_struct("old", 4, ("a", narrow, 3))
    assert codec(raw_btf.build(), outer).decode(b"\xf8\0\0\0").a == 31


@pytest.mark.parametrize("name", ["__class__", "a b", "x\n    import os", "\udcff", "é" * 300, "0"])
def test_hostile_names_are_items_and_nothing_else(raw_btf: Any, name: str) -> None:
    number = raw_btf.add_int("int", 4)
    outer = raw_btf.add_struct(name, 8, (name, number, 0), ("good", number, 32))
    value = codec(raw_btf.build(), outer).decode(struct.pack("<2I", 5, 6))
    assert value[name] == 5 and value.good == 6
    assert ".good = 6" in repr(value)


def test_hostile_enumerators_replace_no_methods(raw_btf: Any) -> None:
    names = ["__getattr__", "name", "__eq__", "fine", "a-b", "\udc80"]
    enum = raw_btf.add_enum("e", 4, *((each, index) for index, each in enumerate(names)))
    value = codec(raw_btf.build(), enum).decode(struct.pack("<I", 1))
    assert value.name == "name" and value == 1
    assert type(value).fine == 3
