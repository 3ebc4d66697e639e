"""Programs that take a subprogram's place return what it does: checked on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.errors import TailCallError
from osmia.object import Object, Pinning

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct {{ __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 8);
    __type(key, __u32); __type(value, __u32); }} calls SEC(".maps");
{target}
static __attribute__((noinline)) {returns} sub(struct xdp_md *ctx)
{{
    bpf_tail_call(ctx, &calls, {key}); // here
    return ctx->rx_queue_index;
}}
SEC("xdp") int entry(struct xdp_md *ctx) {{ return sub(ctx) + 1; }}
char LICENSE[] SEC("license") = "GPL";
"""
TARGET = """
SEC("xdp") {slot} {returns} target(struct xdp_md *ctx) {{ {body} }}
"""
WIDE = "unsigned long long"


def calling(returns: str = "int", key: str = "3", target: str = "") -> Object:
    text = SOURCE.format(returns=returns, key=key, target=target)
    return osmia.compile(source=text)


def target(returns: str = "int", slot: str = "", body: str = "return 7;") -> str:
    return TARGET.format(returns=returns, slot=slot, body=body)


def other(returns: str, body: str = "return 7;") -> Object:
    """An object with one program."""
    head = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
    tail = 'char LICENSE[] SEC("license") = "GPL";\n'
    return osmia.compile(source=head + target(returns, body=body) + tail)


@pytest.fixture(params=["vm", pytest.param("kernel", marks=pytest.mark.kernel)])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def options(engine: str) -> Iterator[dict[str, Any]]:
    """Those of loads of one engine that see each other."""
    if engine == "kernel":
        yield {}
        return
    with osmia.Vm() as vm:
        yield {"vm": vm}


def test_a_slot_is_checked_when_the_object_fills_it(engine: str) -> None:
    with pytest.raises(TailCallError) as caught:
        calling(target=target(WIDE, "__tail(calls, 3)")).load(engine)
    message = str(caught.value)
    for part in (
        "program 'target' cannot be at 3 of map 'calls'",
        "in subprogram 'sub'",
        "bpf_tail_call(ctx, &calls, 3); // here)",
        "'int sub(struct xdp_md *ctx)'",
        "'unsigned long long target(struct xdp_md *ctx)'",
    ):
        assert part in message, message


def test_values_of_the_map_are_checked_as_tags_are(engine: str) -> None:
    text = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") unsigned long long target(struct xdp_md *ctx) { return 7; }
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 8); __type(key, __u32);
    __array(values, unsigned long long (struct xdp_md *)); } calls SEC(".maps") =
    { .values = { [2] = &target } };
static __attribute__((noinline)) int sub(struct xdp_md *ctx)
{
    bpf_tail_call(ctx, &calls, ctx->rx_queue_index);
    return 1;
}
SEC("xdp") int entry(struct xdp_md *ctx) { return sub(ctx) + 1; }
char LICENSE[] SEC("license") = "GPL";
"""
    with pytest.raises(TailCallError, match="at 2 of map 'calls'"):
        osmia.compile(source=text).load(engine)


def test_slots_that_no_such_call_reaches_take_what_they_took(engine: str) -> None:
    with calling(target=target(WIDE, "__tail(calls, 4)")).load(engine) as loaded:
        assert loaded.programs["entry"].run(bytes(64)).retval == 1


@pytest.mark.parametrize(
    ("subprogram", "program"),
    [("int", "unsigned int"), ("enum xdp_action", "int"), (WIDE, "long long"), ("_Bool", "_Bool")],
)
def test_types_that_are_alike_in_a_register_are_one(
    engine: str, subprogram: str, program: str
) -> None:
    obj = calling(subprogram, target=target(program, "__tail(calls, 3)", "return 1;"))
    with obj.load(engine) as loaded:
        assert loaded.programs["entry"].run(bytes(64)).retval == 2


@pytest.mark.parametrize(
    ("subprogram", "program"),
    [("int", "long long"), (WIDE, "int"), ("signed char", "unsigned char"), ("_Bool", "int")],
)
def test_other_sizes_and_what_is_above_small_ones_are_not(
    engine: str, subprogram: str, program: str
) -> None:
    with pytest.raises(TailCallError):
        calling(subprogram, target=target(program, "__tail(calls, 3)")).load(engine)


def test_a_void_program_returns_nothing_that_a_caller_could_have() -> None:
    obj = calling(target=target("void", "__tail(calls, 3)", "bpf_get_smp_processor_id();"))
    with pytest.raises(TailCallError, match="'void target"):
        obj.load("vm")


def test_a_slot_is_checked_when_it_is_filled_later(engine: str, options: dict[str, Any]) -> None:
    with (
        calling(key="ctx->rx_queue_index & 3").load(engine, **options) as loaded,
        other("int").load(engine, **options) as fits,
        other(WIDE).load(engine, **options) as wide,
    ):
        calls = loaded.maps["calls"]
        good, bad = fits.programs["target"], wide.programs["target"]
        stores: list[Callable[[], object]] = [
            lambda: calls.__setitem__(3, bad),
            lambda: calls.update(3, bad),
            lambda: calls.update({0: good, 3: bad}),
            lambda: calls.update_many([(0, good), (3, bad)]),
            lambda: calls.setdefault(3, bad),
        ]
        for store in stores:
            with pytest.raises(TailCallError, match="at 3 of map 'calls'"):
                store()
        assert not list(calls)
        calls[0] = good
        calls[4] = bad  # no call in a subprogram gets there
        assert loaded.programs["entry"].run(bytes(64)).retval == 8


def test_a_map_that_was_given_is_checked_through_either_handle(
    engine: str, options: dict[str, Any]
) -> None:
    with (
        calling(key="4").load(engine, **options) as first,
        other(WIDE).load(engine, **options) as wide,
    ):
        bad = wide.programs["target"]
        options["maps"] = {"calls": first.maps["calls"]}
        second = calling(key="3").load(engine, **options)
        for calls in (first.maps["calls"], second.maps["calls"]):
            for key in (3, 4):
                with pytest.raises(TailCallError):
                    calls[key] = bad
        second.close()
        first.maps["calls"][3] = bad  # nobody is left who would get there


def test_what_a_map_holds_is_checked_when_it_is_reused(
    engine: str, options: dict[str, Any]
) -> None:
    with (
        calling(key="4").load(engine, **options) as first,
        other(WIDE).load(engine, **options) as wide,
    ):
        calls = first.maps["calls"]
        calls[3] = wide.programs["target"]
        options["maps"] = {"calls": calls}
        with pytest.raises(TailCallError, match="'unsigned long long target"):
            calling().load(engine, **options)
        calls[3] = wide.programs["target"]  # the load that failed left nothing
        replacing = calling(target=target(slot="__tail(calls, 3)"))
        with replacing.load(engine, **options) as loaded:
            assert loaded.programs["entry"].run(bytes(64)).retval == 8


@pytest.mark.kernel
@pytest.mark.parametrize("told", ["by name", "by path"])
def test_what_a_pinned_map_holds_is_checked(bpffs: Path, told: str) -> None:
    def pinned(obj: Object) -> Object:
        calls = obj.maps["calls"]
        if told == "by name":
            calls = replace(calls, pinning=Pinning.BY_NAME)
        else:
            calls = replace(calls, pin_path=str(bpffs / "elsewhere"))
        return obj.copy(maps=obj.maps | {"calls": calls})

    filling = pinned(calling(key="4", target=target(WIDE, "__tail(calls, 3)")))
    with filling.load(pin_root=bpffs), pytest.raises(TailCallError, match="at 3 of map"):
        pinned(calling()).load(pin_root=bpffs)


IPROUTE2 = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct bpf_elf_map {{
    __u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx;
}};
struct bpf_elf_map calls SEC("maps") = {{
    .type = BPF_MAP_TYPE_PROG_ARRAY, .size_key = 4, .size_value = 4, .max_elem = 8, .id = 7 }};
SEC("7/{slot}") {returns} target(struct __sk_buff *ctx) {{ return 7; }}
static __attribute__((noinline)) int sub(struct __sk_buff *ctx)
{{
    bpf_tail_call(ctx, &calls, 3); // here
    return ctx->mark;
}}
SEC("classifier") int entry(struct __sk_buff *ctx) {{ return sub(ctx) + 1; }}
char LICENSE[] SEC("license") = "GPL";
"""


def iproute2(returns: str, slot: int) -> Object:
    return osmia.compile(source=IPROUTE2.format(returns=returns, slot=slot))


def test_sections_of_iproute2_are_checked_as_tags_are(engine: str) -> None:
    with pytest.raises(TailCallError) as caught:
        iproute2(WIDE, slot=3).load(engine)
    message = str(caught.value)
    for part in (
        "program 'target' cannot be at 3 of map 'calls'",
        "bpf_tail_call(ctx, &calls, 3); // here)",
        "'unsigned long long target(struct __sk_buff *ctx)'",
    ):
        assert part in message, message
    for returns, slot, result in (("int", 3, 8), (WIDE, 4, 1)):
        with iproute2(returns, slot).load(engine) as loaded:
            assert loaded.programs["entry"].run(bytes(64)).retval == result


@pytest.mark.kernel
def test_programs_that_were_opened_by_id_are_checked() -> None:
    with calling().load() as loaded, other(WIDE).load() as wide:
        number = wide.programs["target"].id
        with osmia.Program.from_id(number) as opened, pytest.raises(TailCallError):
            loaded.maps["calls"][3] = opened


def test_nothing_is_checked_where_a_tail_call_replaces_the_program(engine: str) -> None:
    obj = calling(target=target(WIDE, "__tail(calls, 3)"))
    with obj.load(engine, tail_calls="program") as loaded:
        assert loaded.programs["entry"].run(bytes(64)).retval == 7


def test_objects_without_types_are_not_checked(engine: str, options: dict[str, Any]) -> None:
    typed = other(WIDE)
    functions = {
        key: replace(each, btf_id=0, line_info=b"") for key, each in typed.functions.items()
    }
    untyped = typed.copy(functions=functions)
    with (
        calling().load(engine, **options) as loaded,
        untyped.load(engine, **options) as wide,
    ):
        loaded.maps["calls"][3] = wide.programs["target"]
        assert loaded.programs["entry"].run(bytes(64)).retval == 8
