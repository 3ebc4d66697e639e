"""An object's code with its source lines and names."""

from __future__ import annotations

import pytest

import osmia
from osmia.formats.listing import list_function

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32);
         __type(value, __u64); } counts SEC(".maps");
__u64 pair[2];
extern int missing __ksym __weak;

static __noinline int inner(int x) { return x * 3; }
static long each(__u32 index, void *context) { return index == 3; }

SEC("xdp") int outer(struct xdp_md *ctx)
{
	__u32 zero = 0;
	if (!bpf_map_lookup_elem(&counts, &zero))
		return 1;
	pair[1] = inner(ctx->data_end);
	bpf_loop(5, each, 0, 0);
	return &missing ? 1 : 2;
}
"""


@pytest.fixture(scope="module")
def obj() -> osmia.Object:
    return osmia.compile(SOURCE, name="listing.bpf.c")


def test_what_relocations_name_stands_in_the_text(obj: osmia.Object) -> None:
    texts = "\n".join(each.text for each in list_function(obj, "outer"))
    assert "r1 = map[counts]" in texts
    assert "= &pair" in texts
    assert "call inner" in texts
    assert "r2 = &each" in texts
    assert "= &missing" in texts
    assert "call bpf_map_lookup_elem#1" in texts


def test_functions_and_lines_stand_where_they_begin(obj: osmia.Object) -> None:
    first, *others = list_function(obj, "outer")
    assert first.slot == 0
    assert first.function == "int outer(struct xdp_md *ctx)"
    assert not any(each.function for each in others)
    lines = [each.line.text for each in (first, *others) if each.line is not None]
    assert "pair[1] = inner(ctx->data_end);" in lines


def test_the_bytes_are_the_functions(obj: osmia.Object) -> None:
    listed = list(list_function(obj, "outer"))
    assert b"".join(each.code for each in listed) == obj.functions["outer"].code
    assert [each.slot for each in listed] == sorted({each.slot for each in listed})


def test_either_byte_order() -> None:
    big = osmia.compile(SOURCE, name="listing.bpf.c", target="bpfeb")
    assert "r1 = map[counts]" in [each.text for each in list_function(big, "outer")]


def test_unknown_functions_are_key_errors(obj: osmia.Object) -> None:
    with pytest.raises(KeyError):
        next(list_function(obj, "none"))
