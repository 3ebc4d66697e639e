"""Errors of the verifier about what a pass had no answer for: they say what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

import osmia
from osmia.errors import VerifierError
from osmia.isa import assemble
from osmia.kernel.load.poison import explained
from osmia.object.editing import FunctionEditor
from osmia.object.model import Object, Unresolved

HEADERS = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
char _license[] SEC("license") = "GPL";
"""
SUBPROGRAM = """
struct task_struct { int tgid, warp; } __attribute__((preserve_access_index));
int seen;
static __noinline int look(struct task_struct *task) {
    seen = BPF_CORE_READ(task, tgid);
    seen = BPF_CORE_READ(task, warp);
    return seen;
}
SEC("raw_tp/sched_switch") int p(void *ctx) {
    return look((void *)bpf_get_current_task());
}
"""
FUNCTION = """
extern int bpf_nowhere(int) __ksym __weak;
SEC("tc") int p(struct __sk_buff *skb) { return bpf_nowhere(1); }
"""
LEFT_OUT = """
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32);
         __type(value, __u64); } gone SEC(".maps");
SEC("tc") int p(struct __sk_buff *skb) {
    __u32 key = 0;
    return bpf_map_lookup_elem(&gone, &key) != 0;
}
"""


def with_no_ops(obj: Object) -> Object:
    """`obj` with three instructions that do nothing before each function: a rewrite as a user
    may write it, after externs and CO-RE are resolved."""
    added = assemble("r0 = 0\nr0 = 0\nr0 = 0")
    functions = {
        name: replace(
            function,
            code=added + function.code,
            relocations=tuple(
                each._replace(offset=each.offset + len(added)) for each in function.relocations
            ),
            unresolved=tuple(
                each._replace(offset=each.offset + len(added)) for each in function.unresolved
            ),
            line_info=b"",
        )
        for name, function in obj.functions.items()
    }
    return obj.copy(functions=functions)


def edited(obj: Object) -> Object:
    """The same through the editor, which keeps source lines too."""
    for name in obj.functions:
        edit = FunctionEditor(obj, name)
        edit.insert_before(edit.label(0), "r0 = 0\nr0 = 0")
        obj, _ = edit.apply()
    return obj


@pytest.mark.kernel
@pytest.mark.parametrize(
    "passes", [[], [with_no_ops], [edited]], ids=["as it is", "rewritten", "edited"]
)
@pytest.mark.parametrize(
    ("source", "words"),
    [
        (SUBPROGRAM, "CO-RE: the kernel's types have no task_struct.warp"),
        (FUNCTION, "the kernel has no function 'bpf_nowhere' that fits the declaration"),
        (LEFT_OUT, "map 'gone' is used here, and autocreate is off"),
    ],
    ids=["field", "function", "map"],
)
def test_what_is_missing_is_named_also_after_a_rewrite(
    source: str, words: str, passes: list[Callable[[Object], Object]]
) -> None:
    obj = osmia.compile(HEADERS + source)
    if "gone" in obj.maps:
        obj.set_autocreate("gone", False)
    with pytest.raises(VerifierError) as caught:
        obj.load(passes=passes)
    assert words in caught.value.summary
    assert "invalid func" not in caught.value.summary


@pytest.mark.kernel
def test_a_map_that_is_given_is_used_though_none_is_made() -> None:
    obj = osmia.compile(HEADERS + LEFT_OUT)
    with obj.load() as bpf, bpf.maps["gone"] as given:
        left_out = obj.copy()
        left_out.set_autocreate("gone", False)
        with left_out.load(maps={"gone": given}) as other:
            assert other.maps["gone"].info.id == given.info.id
            assert other.programs["p"].run(bytes(64)).retval == 1


def refused(log: str) -> VerifierError:
    return VerifierError(22, "p", "p, instruction 7 (a.c:3): invalid func unknown#195896080", log)


LOG = "7: (85) call unknown#195896080\ninvalid func unknown#195896080\n"


@pytest.mark.parametrize(
    ("log", "unresolved", "expected"),
    [
        (LOG, [Unresolved(56, "there is no x")], "p, instruction 7 (a.c:3): there is no x"),
        (LOG, [Unresolved(48, "there is no x")], None),
        (LOG, [], None),
        ("3: (85) call unknown#1\n" + LOG, [Unresolved(24, "other")], None),
        ("7: (85) call unknown#1\nR1 !read_ok\n", [Unresolved(56, "there is no x")], None),
        ("", [Unresolved(56, "there is no x")], None),
    ],
)
def test_only_the_call_at_which_the_log_ends_is_explained(
    log: str, unresolved: list[Unresolved], expected: str | None
) -> None:
    error = refused(log)
    made = explained(error, unresolved)
    if expected is None:
        assert made is error
    else:
        assert (made.summary, made.log, made.errno) == (expected, log, 22)
