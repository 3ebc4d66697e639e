"""Which calls are inlined: by choice, and where the kernel at hand takes them in no other way."""

from __future__ import annotations

from typing import Any

import pytest

import osmia
from osmia.errors import RewriteError, VerifierError
from osmia.object import Object
from osmia.passes.calls import FEATURE, rewrite_calls
from osmia.passes.inline import calls_of
from osmia.passes.target import Target

from .assembled import assembled, retval

NOW, BEFORE_5_10 = Target(features={FEATURE: True}, version=0x060C00), Target(version=0x050400)
TAIL = "r2 = map:calls\nr3 = 1\ncall bpf_tail_call\nr0 = 50\nexit"


def calls(obj: Object, program: str = "p") -> list[str]:
    return [call.callee for call in calls_of(obj, program)]


@pytest.fixture
def tailing() -> Object:
    """A subprogram that tail-calls, in the middle of its caller and at the end; one that not."""
    return assembled(
        {
            "p": "r6 = r1\ncall @plain\nr1 = r6\ncall @tail\nr0 += 100\nexit",
            "last": "r6 = r1\ncall @plain\nr1 = r6\ncall @tail\nexit",
            "target": "r0 = 7\nexit",
        },
        {"tail": TAIL, "plain": "r0 = 1\nexit"},
        slots={1: "target"},
    )


def test_all_calls_can_be_kept(tailing: Object) -> None:
    assert rewrite_calls(tailing, NOW, "keep", "subprogram") is tailing


def test_inlining_keeps_what_a_tail_call_replaces(tailing: Object) -> None:
    made = rewrite_calls(tailing, NOW, "inline", "subprogram")
    assert calls(made) == ["tail"]
    assert calls(made, "last") == []
    assert [retval(made, name) for name in ("p", "last")] == [107, 7]


def test_a_tail_call_can_replace_the_program(tailing: Object) -> None:
    made = rewrite_calls(tailing, NOW, "keep", "program")
    assert calls(made) == ["plain"]
    assert [retval(made, name) for name in ("p", "last")] == [7, 7]
    assert retval(tailing, "p", tail_calls="program") == 7


def test_auto_leaves_alone_what_the_kernel_takes() -> None:
    source = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 4); __type(key, __u32);
    __type(value, __u32); } calls SEC(".maps");
static __attribute__((noinline)) int tail(struct xdp_md *ctx)
{ bpf_tail_call(ctx, &calls, 1); return ctx->rx_queue_index + 5; }
SEC("xdp") int p(struct xdp_md *ctx) { return tail(ctx); }
char LICENSE[] SEC("license") = "GPL";
"""
    obj = osmia.compile(source=source)
    assert rewrite_calls(obj, NOW, "auto", "subprogram") is obj
    assert calls(rewrite_calls(obj, BEFORE_5_10, "auto", "subprogram")) == []


def test_auto_inlines_what_has_no_types(tailing: Object) -> None:
    del tailing.programs["p"]
    made = rewrite_calls(tailing, NOW, "auto", "subprogram")
    assert calls(made, "last") == ["plain"]


def test_auto_refuses_what_would_mean_something_else(tailing: Object) -> None:
    with pytest.raises(RewriteError, match=r"'p'.*'tail', as the object has no types.*program"):
        rewrite_calls(tailing, NOW, "auto", "subprogram")


DEEP = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct {{ __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 4); __type(key, __u32);
    __type(value, __u32); }} calls SEC(".maps");
static __attribute__((noinline)) int tail(struct xdp_md *ctx)
{{ bpf_tail_call(ctx, &calls, 1); return ctx->rx_queue_index + 5; }}
SEC("xdp") int p(struct xdp_md *ctx)
{{
    char bytes[{}] = {{}};
    asm volatile("" : : "r"(bytes) : "memory");
    return tail(ctx);
}}
SEC("xdp") __tail(calls, 1) int target(struct xdp_md *ctx) {{ return 3; }}
char LICENSE[] SEC("license") = "GPL";
"""


@pytest.mark.kernel
@pytest.mark.parametrize("size", [232, 240, 248, 256, 400])
def test_what_the_kernel_refuses_osmia_makes_load(size: int) -> None:
    """More than 256 bytes of stack below a subprogram that tail-calls; less stays as it is."""
    obj = osmia.compile(source=DEEP.format(size))

    def runs(**options: Any) -> int:
        return retval(obj, "p", engine="kernel", **options)

    if size <= 240:
        assert runs() == runs(calls="auto") == 3
        target = Target.running()
        assert rewrite_calls(obj, target, "auto", "subprogram") is obj
    else:
        with pytest.raises(VerifierError, match="stack of previous frames"):
            runs()
        assert runs(calls="auto") == 3


@pytest.mark.kernel
def test_without_types_the_kernel_takes_it_inlined(tailing: Object) -> None:
    del tailing.programs["p"]
    with pytest.raises(VerifierError):
        retval(tailing, "last", engine="kernel")
    assert retval(tailing, "last", engine="kernel", calls="auto") == 7


@pytest.mark.kernel
def test_a_program_is_replaced_on_every_engine(tailing: Object) -> None:
    for engine in ("vm", "kernel"):
        assert retval(tailing, "p", engine=engine, tail_calls="program") == 7


def test_a_vm_of_either_kind_takes_the_option(tailing: Object) -> None:
    with osmia.Vm(jit=False) as vm, tailing.load("vm", vm=vm, tail_calls="program") as loaded:
        assert loaded.programs["p"].run(bytes(64)).retval == 7
    with osmia.Vm(jit=False, tail_calls="program") as vm:
        with tailing.load("vm", vm=vm, tail_calls="program") as loaded:
            assert loaded.programs["p"].run(bytes(64)).retval == 7
        with pytest.raises(ValueError, match="tail_calls='subprogram'"):
            tailing.load("vm", vm=vm, tail_calls="subprogram")


@pytest.mark.kernel
def test_the_kernel_says_whether_it_has_them() -> None:
    from osmia.kernel.probes import features

    assert features.has(FEATURE)
