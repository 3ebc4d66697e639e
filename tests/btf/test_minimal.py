"""A kernel's BTF cut down to what CO-RE records need."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from osmia.btf import BTF, Array, BTFBuilder, Kind, Minimiser, Ptr, Struct, Typedef, minimise
from osmia.btf.core.kinds import CoreKind
from osmia.errors import ObjectFormatError


class Record(NamedTuple):
    kind: int
    type_id: int
    access: str = "0"


def kernel() -> BTF:
    """struct task { int pid; u8 comm[16]; struct cred *cred; union { int x; struct { long y, z; };
    }; flags_t flags; struct cred own; }, and others."""
    b = BTFBuilder()
    number, byte, long = b.add_int("int", 4, 1), b.add_int("u8", 1), b.add_int("long", 8, 1)
    cred = b.add_struct("cred", 8, [("uid", number, 0), ("gid", number, 32)])
    deep = b.add_struct("", 16, [("y", long, 0), ("z", long, 64)])
    either = b.add_union("", 16, [("x", number, 0), ("", deep, 0)])
    flags = b.add_typedef("flags_t", b.add_const(number))
    members = [
        ("pid", number, 0),
        ("comm", b.add_array(byte, number, 16), 32),
        ("cred", b.add_ptr(cred), 192),
        ("", either, 256),
        ("flags", flags, 384),
        ("own", cred, 448),
    ]
    b.add_struct("task", 64, members)
    b.add_struct("task___old", 64, members[:1])
    b.add_enum("state", [("RUNNING", 0), ("STOPPED", 1)])
    b.add_typedef("callback", b.add_ptr(b.add_func_proto(number, [("task", b.add_ptr(cred))])))
    b.add_func("do_it", b.add_func_proto(0, []))
    return b.build("kernel")


def record(btf: BTF, kind: CoreKind, name: str, access: str = "0") -> Record:
    return Record(kind, btf.find(name), access)


def members(btf: BTF, name: str) -> list[str]:
    found = btf.type(btf.find(name, Kind.STRUCT))
    assert isinstance(found, Struct)
    return [member.name for member in found.members]


def test_only_the_members_that_are_named_stay() -> None:
    btf = kernel()
    small = minimise(btf, [record(btf, CoreKind.FIELD_BYTE_OFFSET, "task", "0:0")], btf)
    assert members(small, "task") == ["pid"]
    assert small.size_of(small.find("task")) == 64
    assert [small.name_of(i) for i in small] == ["int", "task", "task___old"]
    assert len(small.to_bytes()) < len(btf.to_bytes()) / 3


def test_the_way_through_anonymous_members_stays() -> None:
    btf = kernel()
    small = minimise(btf, [record(btf, CoreKind.FIELD_EXISTS, "task", "0:3:1:1")], btf)
    assert members(small, "task") == [""]
    task = small.type(small.find("task"))
    assert isinstance(task, Struct)
    union = small.type(task.members[0].type_id)
    assert [member.name for member in union.members] == [""]  # type: ignore[union-attr]
    inner = small.type(union.members[0].type_id)  # type: ignore[union-attr]
    assert [(m.name, m.bit_offset) for m in inner.members] == [("z", 64)]  # type: ignore[union-attr]


def test_arrays_and_typedefs_stay_and_what_pointers_point_to_does_not() -> None:
    btf = kernel()
    wanted = [
        record(btf, CoreKind.FIELD_BYTE_OFFSET, "task", access)
        for access in ("0:1:3", "0:2", "0:4")
    ]
    small = minimise(btf, wanted, btf)
    task = small.type(small.find("task"))
    assert isinstance(task, Struct)
    comm, cred, flags = (small.type(member.type_id) for member in task.members)
    assert isinstance(comm, Array) and comm.count == 16
    assert isinstance(cred, Ptr) and cred.target == 0
    assert isinstance(flags, Typedef) and small.size_of(flags.id) == 4
    assert not small.find("cred")


def test_every_candidate_that_matches_stays() -> None:
    btf = kernel()
    small = minimise(btf, [record(btf, CoreKind.FIELD_BYTE_SIZE, "task", "0:0")], btf)
    assert members(small, "task") == members(small, "task___old") == ["pid"]


def test_types_stay_without_members_and_enumerations_whole() -> None:
    btf = kernel()
    wanted = [
        record(btf, CoreKind.TYPE_SIZE, "cred"),
        record(btf, CoreKind.TYPE_EXISTS, "callback"),
        record(btf, CoreKind.ENUMVAL_VALUE, "state", "1"),
        record(btf, CoreKind.TYPE_ID_LOCAL, "task"),
    ]
    small = minimise(btf, wanted, btf)
    assert members(small, "cred") == []
    assert small.size_of(small.find("cred")) == 8
    state = small.type(small.find("state", Kind.ENUM))
    assert [value.name for value in state.values] == ["RUNNING", "STOPPED"]  # type: ignore[union-attr]
    assert small.find("callback") and small.ids_of_kind(Kind.FUNC_PROTO)
    assert not small.find("task")


def test_what_is_compared_member_by_member_stays_so_far() -> None:
    b = BTFBuilder()
    number = b.add_int("int", 4, 1)
    cred = b.add_struct("cred___mine", 4, [("gid", number, 0)])
    pointer = b.add_ptr(b.add_struct("cred", 4, [("uid", number, 0)]))
    b.add_struct("task", 16, [("cred", pointer, 0), ("own", cred, 64), ("pid", number, 96)])
    mine, whole = b.build(), kernel()
    small = minimise(mine, [record(mine, CoreKind.TYPE_MATCHES, "task")], whole)
    assert members(small, "task") == ["pid", "cred", "own"]
    assert members(small, "cred") == ["gid"]
    again = minimise(mine, [record(mine, CoreKind.TYPE_MATCHES, "task")], small)
    assert again.to_bytes() == small.to_bytes()


def test_what_the_kernel_lacks_stays_away() -> None:
    b = BTFBuilder()
    number = b.add_int("int", 4, 1)
    b.add_struct("task", 4, [("nowhere", number, 0)])
    mine = b.build()
    for wanted in (
        record(mine, CoreKind.FIELD_EXISTS, "task", "0:0"),
        record(mine, CoreKind.TYPE_MATCHES, "task"),
    ):
        assert len(minimise(mine, [wanted], kernel())) == 1


def test_several_objects_share_one() -> None:
    btf = kernel()
    minimiser = Minimiser(btf)
    minimiser.add(btf, [record(btf, CoreKind.FIELD_BYTE_OFFSET, "task", "0:0")])
    minimiser.add(btf, [record(btf, CoreKind.FIELD_BYTE_OFFSET, "task", "0:4")])
    assert members(minimiser.build(), "task") == ["pid", "flags"]
    assert minimiser.build("small").name == "small"


def test_a_kernel_of_32_bits_stays_one() -> None:
    b = BTFBuilder(byteorder="big")
    number, _ = b.add_int("int", 4, 1), b.add_int("long int", 4, 1)
    b.add_struct("s", 8, [("p", b.add_ptr(number), 0), ("q", number, 32)])
    btf = b.build()
    small = minimise(btf, [record(btf, CoreKind.FIELD_BYTE_SIZE, "s", "0:0")], btf)
    assert small.byteorder == "big"
    assert small.pointer_size == 4


@pytest.mark.parametrize(
    "wanted",
    [Record(99, 1), Record(CoreKind.FIELD_EXISTS, 7, "0:99"), Record(CoreKind.TYPE_SIZE, 9999)],
)
def test_records_that_lead_nowhere_are_errors(wanted: Record) -> None:
    btf = kernel()
    with pytest.raises(ObjectFormatError):
        minimise(btf, [wanted], btf)


def test_no_records_need_no_types() -> None:
    assert len(minimise(kernel(), [], kernel())) == 1
