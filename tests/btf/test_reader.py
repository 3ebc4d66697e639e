"""The lazy reader, on bytes written out by hand and on the running kernel's BTF."""

import ctypes
import pickle
import struct
from pathlib import Path

import pytest

from osmia.btf import (
    BTF,
    Array,
    BTFBuilder,
    Enum,
    EnumValue,
    Int,
    IntEncoding,
    Kind,
    Member,
    Ptr,
    Struct,
    Typedef,
)
from osmia.btf.patch import corrected
from osmia.errors import ObjectFormatError
from osmia.values import codec

STRINGS = b"\0int\0point\0x\0y\0print\0point_t\0color\0RED\0"
INT, POINT, X, Y, PRINT, POINT_T, COLOR, RED = (
    STRINGS.index(b"\0" + word + b"\0") + 1
    for word in (b"int", b"point", b"x", b"y", b"print", b"point_t", b"color", b"RED")
)


def info(kind: int, vlen: int = 0, flag: int = 0) -> int:
    return flag << 31 | kind << 24 | vlen


TYPES = [
    *(INT, info(Kind.INT), 4, 1 << 24 | 32),  # 1: int
    *(POINT, info(Kind.STRUCT, 2), 8, X, 1, 0, Y, 1, 32),  # 2: struct point
    *(0, info(Kind.PTR), 2),  # 3: struct point *
    *(0, info(Kind.ARRAY), 0, 3, 1, 7),  # 4: struct point *[7]
    *(POINT_T, info(Kind.TYPEDEF), 2),  # 5: point_t
    *(COLOR, info(Kind.ENUM, 1, 1), 4, RED, 0xFFFF_FFFF),  # 6: enum color
    *(PRINT + 2, info(Kind.TYPEDEF), 1),  # 7: "int", stored inside of "print"
]


def raw_btf(
    types: list[int] = TYPES, strings: bytes = STRINGS, order: str = "<", **header: int
) -> bytes:
    fields = {
        "magic": 0xEB9F,
        "version": 1,
        "flags": 0,
        "size": 24,
        "type_off": 0,
        "type_len": 4 * len(types),
        "str_off": 4 * len(types),
        "str_len": len(strings),
    } | header
    packed = struct.pack(f"{order}HBB5I", *fields.values())
    return packed + struct.pack(f"{order}{len(types)}I", *types) + strings


@pytest.fixture(params=["<", ">"], ids=["little", "big"])
def btf(request: pytest.FixtureRequest) -> BTF:
    return BTF(raw_btf(order=request.param))


def test_types_are_decoded_in_both_byte_orders(btf: BTF) -> None:
    assert len(btf) == 8
    assert list(btf) == [1, 2, 3, 4, 5, 6, 7]
    assert btf.type(1) == Int(1, "int", 4, IntEncoding.SIGNED, 32)
    assert btf.type(2) == Struct(2, "point", 8, (Member("x", 1, 0), Member("y", 1, 32)))
    assert btf.type(3) == Ptr(3, "", 2)
    assert btf.type(4) == Array(4, "", 3, 1, 7)
    assert btf.type(5) == Typedef(5, "point_t", 2)
    assert btf.type(6) == Enum(6, "color", 4, True, (EnumValue("RED", -1),))


def test_types_are_found_by_name_and_kind(btf: BTF) -> None:
    assert btf.find("point") == 2
    assert btf.find("point", Kind.UNION) == 0
    assert btf.find("poin") == 0
    assert btf.find("") == 0
    assert btf.find("nowhere") == 0


def test_a_name_stored_as_the_end_of_a_longer_one_is_found(btf: BTF) -> None:
    assert btf.find_all("int") == (1, 7)
    assert btf.find_all("int", Kind.TYPEDEF) == (7,)


def test_many_candidates_for_a_name_do_not_hide_the_right_one() -> None:
    strings = b"\0" + b"".join(b"a%dint\0" % number for number in range(500)) + b"int\0"
    types = [strings.index(b"\0int\0") + 1, info(Kind.INT), 4, 32]
    assert BTF(raw_btf(types, strings)).find("int") == 1


def test_sizes_and_alignments(btf: BTF) -> None:
    assert [btf.size_of(type_id) for type_id in (1, 2, 3, 4, 5, 6)] == [4, 8, 8, 56, 8, 4]
    assert [btf.alignment_of(type_id) for type_id in (1, 2, 3, 4, 5, 6)] == [4, 4, 8, 8, 4, 4]
    with pytest.raises(ObjectFormatError, match="no size: VOID"):
        btf.size_of(0)


def test_typedefs_resolve_to_what_they_name(btf: BTF) -> None:
    assert btf.resolve(5) == 2
    assert btf.resolve(2) == 2


def test_an_object_keeps_its_bytes(btf: BTF) -> None:
    assert BTF(btf.to_bytes()).to_bytes() == btf.to_bytes()


def test_split_btf_continues_ids_and_strings_of_its_base() -> None:
    base = BTF(raw_btf())
    strings = b"inner\0"
    types = [len(STRINGS), info(Kind.STRUCT, 1), 8, X, 2, 0, POINT, info(Kind.TYPEDEF), 8]
    split = BTF(raw_btf(types, strings), base=base)
    assert len(split) == 10
    assert split.type(8) == Struct(8, "inner", 8, (Member("x", 2, 0),))
    assert split.type(2) is base.type(2)
    assert split.find_all("point") == (2, 9)
    assert split.find("inner") == 8
    assert base.find("inner") == 0
    assert split.size_of(8) == 8


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "too short"),
        (b"\0" * 64, "magic"),
        (raw_btf(version=2), "version 2"),
        (raw_btf(size=12), "header length"),
        (raw_btf(type_len=1 << 20), "types reach past the end"),
        (raw_btf(str_len=1 << 31), "strings reach past the end"),
        (raw_btf(type_off=2), "4-byte words"),
        (raw_btf(str_off=0), "overlap"),
        (raw_btf(strings=b"\0int"), "do not end in NUL"),
        (raw_btf(strings=b"int\0"), "do not start with NUL"),
        (raw_btf(strings=b""), "do not end in NUL"),
    ],
)
def test_a_bad_header_is_refused_at_once(data: bytes, problem: str) -> None:
    with pytest.raises(ObjectFormatError, match=problem):
        BTF(data)


@pytest.mark.parametrize(
    ("types", "problem"),
    [
        ([0, info(20), 0], "unknown kind 20"),
        ([0, info(0), 0], "unknown kind 0"),
        ([0, info(Kind.STRUCT, 0xFFFF), 0], "reaches past the end"),
        ([0, info(Kind.PTR)], "reaches past the end"),
        ([0], "reaches past the end"),
        ([0, info(Kind.PTR), 0, 0], "type 2 reaches past the end"),
    ],
)
def test_types_that_cannot_be_are_refused_with_their_offset(types: list[int], problem: str) -> None:
    with pytest.raises(ObjectFormatError, match=problem) as caught:
        len(BTF(raw_btf(types)))
    assert caught.value.offset == (24 if len(types) < 4 else 36)


def test_what_does_not_exist_is_named() -> None:
    btf = BTF(raw_btf([1 << 20, info(Kind.PTR), 99]), name="bad.o")
    with pytest.raises(ObjectFormatError, match=r"bad.o: type 2 does not exist"):
        btf.type(2)
    with pytest.raises(ObjectFormatError, match="string offset 1048576"):
        btf.type(1)
    with pytest.raises(ObjectFormatError, match="type -1 does not exist"):
        btf.kind_of(-1)


@pytest.mark.parametrize(
    "types",
    [
        pytest.param([INT, info(Kind.TYPEDEF), 1], id="typedef of itself"),
        pytest.param([0, info(Kind.CONST), 2, 0, info(Kind.VOLATILE), 1], id="qualifiers"),
        pytest.param([0, info(Kind.ARRAY), 0, 1, 1, 1], id="array of itself"),
        pytest.param([0, info(Kind.ARRAY), 0, 1, 1, 0], id="empty array of itself"),
    ],
)
def test_cycles_have_neither_size_nor_alignment(types: list[int]) -> None:
    with pytest.raises(ObjectFormatError, match="too deeply"):
        BTF(raw_btf(types)).size_of(1)
    with pytest.raises(ObjectFormatError, match="too deeply"):
        BTF(raw_btf(types)).alignment_of(1)


def test_a_struct_in_itself_has_no_alignment() -> None:
    types = [INT, info(Kind.STRUCT, 1), 8, X, 1, 0]
    with pytest.raises(ObjectFormatError, match="too deeply"):
        BTF(raw_btf(types)).alignment_of(1)


def test_an_array_beyond_4_gib_has_no_size() -> None:
    types = [*TYPES[:4], 0, info(Kind.ARRAY), 0, 1, 1, 1 << 30]
    with pytest.raises(ObjectFormatError, match="larger than 4 GiB"):
        BTF(raw_btf(types)).size_of(2)


def test_every_type_of_the_running_kernel_decodes() -> None:
    path = Path("/sys/kernel/btf/vmlinux")
    if not path.exists():
        pytest.skip("this kernel has no BTF")
    btf = BTF(path.read_bytes())
    task = btf.type(btf.find("task_struct", Kind.STRUCT))
    assert isinstance(task, Struct)
    assert {"pid", "tgid", "comm"} <= {member.name for member in task.members}
    kinds = {btf.type(type_id).kind for type_id in btf}
    assert {Kind.INT, Kind.STRUCT, Kind.FUNC, Kind.FUNC_PROTO, Kind.ENUM64} <= kinds


def test_types_whose_words_were_changed_are_found_by_their_kind() -> None:
    builder = BTFBuilder()
    number = builder.add_int("int", 4)
    prototype = builder.add_func_proto(number, [])
    function = builder.add_func("hidden", prototype)
    corrected_btf = corrected(builder.build(), {}, [function])
    assert corrected_btf.ids_of_kind(Kind.FUNC) == [function]
    assert corrected_btf.ids_of_kind(Kind.FUNC) == BTF(corrected_btf.to_bytes()).ids_of_kind(
        Kind.FUNC
    )


def _with_pointers() -> BTF:
    builder = BTFBuilder()
    number = builder.add_int("long", 8)
    pointer = builder.add_ptr(number)
    builder.add_struct("pair", 16, [("first", pointer, 0), ("second", number, 64)])
    builder.add_array(pointer, number, 3)
    return builder.build()


def test_pointers_have_the_size_that_is_told() -> None:
    btf = _with_pointers()
    small = btf.with_pointer_size(4)
    assert (btf.pointer_size, btf.size_of(2), btf.size_of(4)) == (8, 8, 24)
    assert (small.pointer_size, small.size_of(2), small.size_of(4)) == (4, 4, 12)
    assert small.alignment_of(2) == 4
    assert codec(small, 2).size == 4
    assert pickle.loads(pickle.dumps(small)).pointer_size == 4
    split = BTFBuilder(small)
    split.add_ptr(3)
    assert split.build().pointer_size == 4
    with pytest.raises(ValueError, match="4 or 8 bytes, not 16"):
        btf.with_pointer_size(16)


@pytest.mark.parametrize("size", [4, 8])
def test_sizes_are_those_of_libbpf_with_that_pointer_size(size: int) -> None:
    library = ctypes.CDLL("libbpf.so.1")
    library.btf__new.restype = ctypes.c_void_p
    library.btf__resolve_size.restype = ctypes.c_int64
    types = _with_pointers().with_pointer_size(size)
    data = types.to_bytes()
    peer = ctypes.c_void_p(library.btf__new(data, len(data)))
    assert library.btf__set_pointer_size(peer, ctypes.c_size_t(size)) == 0
    for type_id in range(1, len(types)):
        assert types.size_of(type_id) == library.btf__resolve_size(peer, type_id)
        assert types.alignment_of(type_id) == library.btf__align_of(peer, type_id)
    library.btf__free(peer)
