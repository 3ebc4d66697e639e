"""The digest of an Object: the same for what says the same, another for every edit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia import toolchain
from osmia.object import (
    CoreRelocation,
    DataKind,
    DataSection,
    Extern,
    ExternKind,
    Function,
    JumpTable,
    Linkage,
    Map,
    MapType,
    Object,
    OtherSection,
    OtherSymbol,
    Program,
    ProgramType,
    Relocation,
    RelocationKind,
    Variable,
)
from osmia.object.digest import object_digest
from osmia.object.model import Unresolved

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 3); __type(key, int);
         __type(value, long); } counts SEC(".maps");
const volatile int rate = 2;
int total;
static const char name[] = "name";
const char *volatile pointer = name;
extern int LINUX_KERNEL_VERSION __kconfig;
static __noinline int add(int x) { return x + total; }
SEC("xdp") int entry(struct xdp_md *ctx) {
    long *count = bpf_map_lookup_elem(&counts, &rate);
    return add(count ? *count : LINUX_KERNEL_VERSION) + (pointer != 0);
}
char _license[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def data() -> bytes:
    return toolchain.compile(SOURCE).data


def test_a_file_has_one_digest_wherever_it_is_and_however_it_is_opened(
    data: bytes, tmp_path: Path
) -> None:
    one, other = tmp_path / "one.bpf.o", tmp_path / "other.o"
    one.write_bytes(data)
    other.write_bytes(data)
    found = {osmia.open(each).digest for each in (one, other, data)}
    assert found == {osmia.open(one, name="named").digest}
    (digest,) = found
    assert len(digest) == 64 and int(digest, 16)


def test_it_is_the_same_in_every_process(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "one.bpf.o"
    path.write_bytes(data)
    script = f"import osmia; print(osmia.open({str(path)!r}).digest)"
    for seed in ("1", "2"):
        command = [sys.executable, "-c", script]
        run = subprocess.run(
            command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == osmia.open(data).digest


def test_copies_and_what_was_saved_have_it_too(data: bytes) -> None:
    obj = osmia.open(data)
    assert obj.copy().digest == obj.digest
    assert osmia.open(obj.to_bytes()).digest == obj.digest


def test_what_is_only_asked_for_changes_nothing(data: bytes) -> None:
    obj = osmia.open(data)
    before = obj.digest
    assert obj.data["rate"] == 2
    assert obj.source_lines("entry")
    obj.load("vm").close()
    assert obj.digest == before


def change(kind: str, key: str, /, **changes: object) -> Callable[[Object], None]:
    """An edit of one part: `obj.<kind>[key]` with other fields."""

    def edit(obj: Object) -> None:
        parts = getattr(obj, kind)
        parts[key] = replace(parts[key], **changes)

    return edit


def set_variable(obj: Object) -> None:
    obj.data["rate"] = 3


def touch_unnamed_byte(obj: Object) -> None:
    obj.data_sections[".bss"].contents.append(0)


def change_variable(obj: Object) -> None:
    variables = obj.data_sections[".bss"].variables
    variables["total"] = replace(variables["total"], linkage=Linkage.STATIC)


def move_pointer(obj: Object) -> None:
    section = obj.data_sections[".data"]
    (relocation,) = section.relocations
    section.relocations = (relocation._replace(addend=relocation.addend + 1),)


def change_code(obj: Object) -> None:
    function = obj.functions["entry"]
    obj.functions["entry"] = replace(function, code=function.code[:-8] + bytes(8))


def retarget(obj: Object) -> None:
    function = obj.functions["entry"]
    first, *rest = function.relocations
    moved = first._replace(addend=first.addend + 4)
    obj.functions["entry"] = replace(function, relocations=(moved, *rest))


def drop_lines(obj: Object) -> None:
    obj.functions["entry"] = replace(obj.functions["entry"], line_info=b"")


def drop_types(obj: Object) -> None:
    obj.btf = None


def other_license(obj: Object) -> None:
    obj.license = "Dual BSD/GPL"


def add_jump_table(obj: Object) -> None:
    obj.jump_tables["table"] = JumpTable("table", "entry", (0, 1))


def other_key(obj: Object) -> None:
    obj.functions["b.c:add"] = obj.functions.pop("add")


def renamed_section(obj: Object) -> None:
    obj.data_sections[".bss.own"] = obj.data_sections.pop(".bss")


@pytest.mark.parametrize(
    "edit",
    [
        set_variable,
        touch_unnamed_byte,
        change_variable,
        move_pointer,
        change_code,
        retarget,
        drop_lines,
        drop_types,
        other_license,
        add_jump_table,
        other_key,
        renamed_section,
        lambda obj: obj.set_autoload("entry", False),
        lambda obj: obj.set_autocreate("counts", False),
        lambda obj: obj.functions.pop("add"),
        lambda obj: obj.externs.clear(),
        change("programs", "entry", type=ProgramType.SCHED_CLS),
        change("programs", "entry", flags=1),
        change("maps", "counts", max_entries=4),
        change("maps", "counts", type=MapType.ARRAY),
        change("maps", "counts", attributes={"id": 7}),
        change("maps", "counts", slots=((0, "x"),)),
        change("externs", "LINUX_KERNEL_VERSION", weak=True),
        change("data_sections", ".rodata", kind=DataKind.BSS),
        change("data_sections", ".rodata", alignment=64),
        change("functions", "add", name="sum"),
        change("functions", "add", hidden=True),
        change("functions", "add", core_relocations=(CoreRelocation(0, 0, 1, "0"),)),
    ],
)
def test_every_edit_makes_another(edit: Callable[[Object], None], data: bytes) -> None:
    obj = osmia.open(data)
    before = obj.digest
    edited = obj.copy()
    edit(edited)
    assert edited.digest != before
    assert obj.digest == before


#: One of each kind of part, and another value for each of its fields.
PARTS: dict[str, object] = {
    "functions": Function("f", "xdp", bytes(16)),
    "programs": Program("f", "f", "xdp", ProgramType.XDP),
    "maps": Map("m", MapType.HASH),
    "data_sections": DataSection(".data", DataKind.DATA, bytearray(16)),
    "externs": Extern("e", ExternKind.KSYM),
    "jump_tables": JumpTable("t", "f", (0,)),
    "other_sections": OtherSection(".run_config", b"x", (OtherSymbol("c", 0, 1),)),
}
OTHERS: dict[str, object] = {
    "relocations": (Relocation(0, RelocationKind.DATA, ".data"),),
    "core_relocations": (CoreRelocation(0, 0, 1, "0"),),
    "unresolved": (Unresolved(0, "field x"),),
    "linkage": Linkage.STATIC,
    "inner": Map("inner", MapType.ARRAY),
    "map": Map("elsewhere", MapType.HASH),
    "slots": ((1, "x"),),
    "attributes": {"id": 1},
    "targets": (1,),
    "symbols": (),
    "contents": bytearray(b"x" * 16),
    "variables": {"v": Variable("v", 0, 4)},
    "numa_node": 0,
    "type": 77,
    "kind": None,
    "expected_attach_type": 5,
}


def other_value(name: str, value: object) -> object:
    if name in OTHERS:
        return OTHERS[name]
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value + "x"
        case bytes():
            return value + bytes(8)
    raise AssertionError(name)


@pytest.mark.parametrize("kind", PARTS)
def test_every_field_of_every_part_counts(kind: str) -> None:
    part = PARTS[kind]
    plain = object_digest(Object("o", **{kind: {"key": part}}))  # type: ignore[arg-type]
    seen = {plain}
    for each in fields(part):  # type: ignore[arg-type]
        value = other_value(each.name, getattr(part, each.name))
        changed = replace(part, **{each.name: value})  # type: ignore[type-var]
        seen.add(object_digest(Object("o", **{kind: {"key": changed}})))  # type: ignore[arg-type]
    assert len(seen) == 1 + len(fields(part))  # type: ignore[arg-type]


def test_every_field_of_a_variable_counts() -> None:
    def digest(variable: Variable) -> str:
        section = DataSection(".data", DataKind.DATA, bytearray(16), {"v": variable})
        return Object("o", data_sections={".data": section}).digest

    plain = Variable("v", 0, 4)
    seen = {digest(plain)}
    for each in fields(plain):
        value = other_value(each.name, getattr(plain, each.name))
        changes: dict[str, Any] = {each.name: value}
        seen.add(digest(replace(plain, **changes)))
    assert len(seen) == 1 + len(fields(plain))


def test_the_order_of_parts_does_not_count() -> None:
    first, second = Map("a", MapType.HASH), Map("b", MapType.ARRAY)
    assert (
        Object("o", maps={"a": first, "b": second}).digest
        == Object("o", maps={"b": second, "a": first}).digest
    )


def test_pieces_are_not_run_together() -> None:
    one = Object("o", externs={"ab": Extern("c", ExternKind.KSYM)})
    other = Object("o", externs={"a": Extern("bc", ExternKind.KSYM)})
    assert one.digest != other.digest
