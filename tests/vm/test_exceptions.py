"""Exceptions end a run at once, however deep: its result is the callback's, or the cookie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import osmia
from osmia.errors import NotSupportedError
from osmia.vm.errors import ProgramFault

PROGRAMS = r"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern void bpf_throw(__u64 cookie) __ksym;

__u64 limit = 1000, reached, handled, looped;

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} next SEC(".maps");

static __noinline int deeper(__u64 value)
{
	if (value > limit)
		bpf_throw(value);
	return value;
}

static __noinline int check(__u64 value)
{
	int result = deeper(value);

	reached++;
	return result;
}

__noinline int on_exception(__u64 cookie)
{
	handled = cookie;
	return 77;
}

SEC("tc")
__attribute__((btf_decl_tag("exception_callback:on_exception")))
int with_callback(struct __sk_buff *ctx)
{
	return check(ctx->len) + 1;
}

SEC("tc") int without(struct __sk_buff *ctx)
{
	return check(ctx->len) + 1;
}

static int each(__u32 index, void *data)
{
	looped = index;
	if (index == 5)
		bpf_throw(index);
	return 0;
}

SEC("tc") int loops(struct __sk_buff *ctx)
{
	bpf_loop(100, each, NULL, 0);
	return 1;
}

SEC("tc") int calls(struct __sk_buff *ctx)
{
	bpf_tail_call(ctx, &next, 0);
	return 3;
}
"""


@pytest.fixture(scope="module")
def compiled() -> osmia.Object:
    return osmia.compile(PROGRAMS)


@pytest.fixture
def bpf(compiled: osmia.Object) -> Iterator[Any]:
    with compiled.load(engine="vm", memory=1 << 25) as loaded:
        yield loaded


SMALL, LARGE = bytes(64), bytes(2000)


def test_without_a_callback_the_cookie_is_the_result(bpf: Any, executor: str) -> None:
    run = bpf.programs["without"].run
    assert [run(p, executor=executor).retval for p in (SMALL, LARGE, SMALL)] == [65, 2000, 65]
    assert bpf.data["reached"] == 2


def test_a_callback_decides(bpf: Any, executor: str) -> None:
    run = bpf.programs["with_callback"].run
    assert [run(p, executor=executor).retval for p in (SMALL, LARGE, SMALL)] == [65, 77, 65]
    assert (bpf.data["handled"], bpf.data["reached"]) == (2000, 2)


def test_callbacks_of_helpers_throw(bpf: Any, executor: str) -> None:
    assert bpf.programs["loops"].run(SMALL, executor=executor).retval == 5
    assert bpf.data["looped"] == 5


def test_what_was_tail_called_throws_by_itself(bpf: Any, executor: str) -> None:
    bpf.maps["next"][0] = bpf.programs["with_callback"]
    run = bpf.programs["calls"].run
    assert run(LARGE, executor=executor).retval == 77
    assert run(SMALL, executor=executor).retval == 65
    with pytest.raises(NotSupportedError, match=r"run it without repeat="):
        run(LARGE, executor=executor, repeat=2)


def test_each_of_several_runs_throws(bpf: Any, executor: str) -> None:
    result = bpf.programs["with_callback"].run(LARGE, executor=executor, repeat=3)
    assert result.retval == 77
    bpf.data["limit"] = 5
    verdicts = bpf.programs["without"].run_batch([LARGE, SMALL, LARGE])
    assert list(verdicts) == [2000, 64, 2000]


def test_a_fault_stays_one(bpf: Any) -> None:
    with pytest.raises(ProgramFault):
        bpf.programs["without"].run(LARGE, budget=3)


def test_exceptions_are_hidden_from_nobody_else(bpf: Any, executor: str) -> None:
    for _ in range(3):
        bpf.programs["without"].run(LARGE, executor=executor)
        assert bpf.programs["without"].run(SMALL, executor=executor).retval == 65
