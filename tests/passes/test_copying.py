"""Functions that join another object: callees, types, CO-RE records, and externs of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

import osmia
from osmia.btf import BTF, DeclTag, Kind, Struct, kernel_btf
from osmia.errors import LinkError
from osmia.object.jump_tables import JumpTable
from osmia.object.model import CoreRelocation, Object, Relocation, RelocationKind
from osmia.passes.binding import bind_externs
from osmia.passes.imports import Imports
from osmia.passes.providers import Provider

PACKET = bytes(64)
HEAD = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#ifndef __arg_ctx
#define __arg_ctx __attribute__((btf_decl_tag("arg:ctx")))
#endif
char _license[] SEC("license") = "GPL";
"""
SHARED = """
struct pair { int a; long b; };
struct node { struct node *next; struct pair pair; };
"""
LIBRARY = (
    SHARED
    + """
struct task_struct { int pid; struct task_struct *parent; } __attribute__((preserve_access_index));
extern unsigned CONFIG_HZ __kconfig;
extern const int bpf_prog_active __ksym;
static int step(unsigned index, void *data) { *(long *)data += index; return 0; }
__noinline int pid_offset(struct pair *pair) {
    return pair ? bpf_core_field_offset(struct task_struct, pid) + pair->a : 0;
}
__noinline int hertz(int x) { return CONFIG_HZ + x; }
__noinline int looped(int n) { long sum = 0; bpf_loop(n, step, &sum, 0); return sum; }
__noinline int tagged(void *ctx __arg_ctx) { return ctx ? 9 : 0; }
static __noinline int shared_name(int x) { return x + 1000; }
__noinline int calls_static(int x) { return shared_name(x); }
__noinline int other(int x) { return x + 5; }
__noinline int calls_other(int x) { return other(x); }
"""
)
USER = (
    SHARED
    + """
extern unsigned CONFIG_HZ __kconfig;
extern int pid_offset(struct pair *pair);
extern int hertz(int x);
extern int looped(int n);
extern int tagged(void *ctx);
extern int calls_static(int x);
extern int calls_other(int x);
extern int other(int x);
int results[8];
static __noinline int shared_name(int x) { return x + 1 + results[7]; }
SEC("xdp") int user(struct xdp_md *ctx) {
    struct pair pair = {};
    results[0] = pid_offset(&pair);
    results[1] = hertz(1) - CONFIG_HZ;
    results[2] = looped(10);
    results[3] = tagged(ctx);
    results[4] = calls_static(1);
    results[5] = shared_name(1);
    results[6] = calls_other(1);
    results[7] = other(2);
    return 2;
}
"""
)

Compile = Callable[[str, str], Object]


@pytest.fixture(scope="module")
def compiled() -> Compile:
    made: dict[str, Object] = {}

    def compile_source(name: str, source: str) -> Object:
        if source not in made:
            made[source] = osmia.compile(HEAD + source, name=f"{name}.bpf.c")
        return made[source].copy()

    return compile_source


def provider(obj: Object, name: str = "library", maps: Any = ()) -> Provider:
    return SimpleNamespace(name=name, object=obj, maps=dict(maps))


def linked(obj: Object, *providers: Provider) -> Object:
    return bind_externs(obj, [Imports(providers, {}, {})])


@pytest.mark.parametrize("engine", [pytest.param("kernel", marks=pytest.mark.kernel), "vm"])
def test_all_kinds_of_functions_run_in_the_caller(compiled: Compile, engine: str) -> None:
    library = compiled("library", LIBRARY)
    library.programs = {}
    with (
        library.load(engine) as lib,
        compiled("user", USER).load(engine, imports=[lib]) as user,
    ):
        user.programs["user"].run(PACKET)
        results = list(user.data["results"])
    assert results[1:] == [1, 45, 9, 1001, 2, 6, 7]
    types = kernel_btf()
    task = types.type(types.find("task_struct", Kind.STRUCT))
    assert isinstance(task, Struct)
    (offset,) = (each.bit_offset // 8 for each in task.members if each.name == "pid")
    assert results[0] == offset


def test_callees_and_externs_are_there_once(compiled: Compile) -> None:
    obj = linked(compiled("user", USER), provider(compiled("library", LIBRARY)))
    assert {"shared_name", "library:shared_name"} <= obj.functions.keys()
    assert [key for key in obj.functions if key.endswith("other")] == [
        "calls_other",
        "library:other",
    ]
    # One that is imported itself and called by another that is: under a name of its own.
    (called,) = obj.functions["calls_other"].relocations
    assert called.target == "library:other"
    own = [r.target for r in obj.functions["user"].relocations if "other" in r.target]
    assert own == ["calls_other", "library:other"]
    assert list(obj.externs) == ["CONFIG_HZ"]


def test_types_that_both_have_are_there_once_and_ids_stay(compiled: Compile) -> None:
    before, library = compiled("user", USER), compiled("library", LIBRARY)
    obj = linked(before, provider(library))
    assert before.btf is not None and obj.btf is not None and library.btf is not None
    for name in ("pair", "xdp_md"):
        assert len(obj.btf.find_all(name, Kind.STRUCT)) == 1
        assert obj.btf.find(name, Kind.STRUCT) == before.btf.find(name, Kind.STRUCT)
    assert len(obj.btf.find_all("task_struct", Kind.STRUCT)) == 1
    assert len(obj.btf.find_all("hertz", Kind.FUNC)) == 1
    record = obj.functions["pid_offset"].core_relocations[0]
    assert obj.btf.name_of(record.type_id) == "task_struct"
    assert before.btf.to_bytes() == compiled("user", USER).btf.to_bytes()  # type: ignore[union-attr]


def test_tags_of_arguments_come_along(compiled: Compile) -> None:
    obj = linked(compiled("user", USER), provider(compiled("library", LIBRARY)))
    assert obj.btf is not None
    tags = [obj.btf.type(each) for each in obj.btf.ids_of_kind(Kind.DECL_TAG)]
    (tag,) = [each for each in tags if isinstance(each, DeclTag) and each.name == "arg:ctx"]
    assert obj.functions["tagged"].btf_id == tag.type_id


def test_what_both_declare_differently_is_refused(compiled: Compile) -> None:
    other = USER.replace("unsigned CONFIG_HZ", "unsigned char CONFIG_HZ")
    with pytest.raises(LinkError, match=r"(?s)both declare 'CONFIG_HZ' extern, and differently.*"):
        linked(compiled("user", other), provider(compiled("library", LIBRARY)))


def test_externs_of_what_is_copied_are_bound_by_the_same_imports(compiled: Compile) -> None:
    inner = compiled("inner", "__noinline int deep(int x) { return x * 7; }")
    middle = compiled(
        "middle", "extern int deep(int x); __noinline int mid(int x) { return deep(x); }"
    )
    user = compiled("user", 'extern int mid(int x); SEC("xdp") int p(void *c) { return mid(3); }')
    obj = linked(user, provider(middle, "middle"), provider(inner, "inner"))
    assert not obj.externs
    with obj.load("vm") as loaded:
        assert loaded.programs["p"].run(PACKET).retval == 21


def test_what_was_linked_is_an_object_like_any_other(compiled: Compile) -> None:
    inner = compiled("inner", "__noinline int deep(int x) { return x * 7; }")
    user = compiled("user", 'extern int deep(int x); SEC("xdp") int p(void *c) { return deep(3); }')
    obj = linked(user, provider(inner, "inner"))
    again = osmia.open(obj.to_bytes())
    with again.load("vm") as loaded:
        assert loaded.programs["p"].run(PACKET).retval == 21


BROKEN: list[tuple[str, Any]] = [
    (
        "no function 'gone'",
        lambda f: {"relocations": (Relocation(0, RelocationKind.CALL, "gone"),)},
    ),
    ("no map 'gone'", lambda f: {"relocations": (Relocation(0, RelocationKind.MAP, "gone"),)}),
    ("no section", lambda f: {"relocations": (Relocation(0, RelocationKind.DATA, "gone"),)}),
    ("no extern", lambda f: {"relocations": (Relocation(0, RelocationKind.EXTERN, "gone"),)}),
    (
        "no jump table",
        lambda f: {"relocations": (Relocation(0, RelocationKind.JUMP_TABLE, "gone"),)},
    ),
    ("a type", lambda f: {"core_relocations": (CoreRelocation(0, 0, 1 << 20, "0"),)}),
    ("a type", lambda f: {"btf_id": 1 << 20}),
    ("a string", lambda f: {"line_info": bytes(4) + b"\xff\xff\xff\0" * 2 + bytes(4)}),
    ("a line", lambda f: {"line_info": bytes(15)}),
]


@pytest.mark.parametrize("what,change", BROKEN, ids=[what for what, _ in BROKEN])
def test_a_broken_provider_is_an_error_of_ours(
    compiled: Compile, what: str, change: Callable[[Any], dict[str, Any]]
) -> None:
    library = compiled("inner", "__noinline int deep(int x) { return x * 7; }")
    function = library.functions["deep"]
    library.functions["deep"] = replace(function, **change(function))
    user = compiled("user", 'extern int deep(int x); SEC("xdp") int p(void *c) { return deep(3); }')
    with pytest.raises(osmia.OsmiaError):
        linked(user, provider(library, "inner"))


def test_types_that_cannot_be_written_are_an_error_of_ours(compiled: Compile) -> None:
    source = """
    static __noinline int below(int x) { return x * 7; }
    __noinline int deep(int x) { return below(x); }
    """
    user = compiled("user", 'extern int deep(int x); SEC("xdp") int p(void *c) { return deep(3); }')
    for name in ("deep", "below"):
        library = compiled("inner", source)
        assert library.btf is not None
        data = bytearray(library.btf.to_bytes())
        info = library.btf.record_offset(library.functions[name].btf_id) + 4
        data[info + 2] = 1  # more entries than are written, which new kernels may mean so
        library.btf = BTF(bytes(data))
        with pytest.raises(osmia.ObjectFormatError, match=f"{name!r}: 6553. entries"):
            linked(user, provider(library, "inner"))


def test_jump_tables_come_along(compiled: Compile) -> None:
    library = compiled("inner", "__noinline int deep(int x) { return x * 7; }")
    library.jump_tables["table"] = JumpTable("table", "deep", (0,))
    load = bytes.fromhex("1801000000000000" "0000000000000000")  # fmt: skip
    function = library.functions["deep"]
    library.functions["deep"] = replace(
        function,
        code=load + function.code,
        relocations=(Relocation(0, RelocationKind.JUMP_TABLE, "table", 8),),
        line_info=b"",
    )
    user = compiled("user", 'extern int deep(int x); SEC("xdp") int p(void *c) { return deep(3); }')
    user.jump_tables["table"] = JumpTable("table", "p", (1,))
    obj = linked(user, provider(library, "inner"))
    assert obj.jump_tables["inner:table"] == JumpTable("inner:table", "deep", (0,))
    assert obj.functions["deep"].relocations[0].target == "inner:table"
