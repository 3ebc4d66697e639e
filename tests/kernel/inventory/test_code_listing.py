"""Loaded programs in words, and who holds them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import osmia
from osmia.kernel.inventory import holders
from osmia.kernel.inventory.code_listing import listing, source_lines
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.programs.program import KernelProgram
from osmia.object import ProgramType

pytestmark = pytest.mark.kernel

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1); __type(key, __u32);
         __type(value, __u64); } counts SEC(".maps");
__u64 total;
static __noinline int inner(__u32 x)
{
	__u64 one = 1;
	return bpf_map_update_elem(&counts, &x, &one, BPF_ANY);
}
SEC("xdp") int outer(struct xdp_md *ctx)
{
	total += 1;
	return inner(ctx->ingress_ifindex) ? XDP_DROP : XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def loaded() -> Iterator[KernelObject]:
    with osmia.compile(SOURCE, name="listing.bpf.c").load() as loaded:
        yield loaded


def test_functions_lines_maps_and_helpers_have_names(loaded: KernelObject) -> None:
    outer = loaded.programs["outer"]
    listed = list(listing(outer))
    functions = [each.function for each in listed if each.function]
    assert functions == ["int outer(struct xdp_md *ctx)", "int inner(__u32 x)"]
    texts = "\n".join(each.text for each in listed)
    assert "call inner" in texts
    assert f"r1 = map[id:{loaded.maps['counts'].id}]" in texts
    # The verifier calls the map type's own function, as the kernel's symbols name it.
    assert "call htab_map_update_elem#" in texts
    assert b"".join(each.code for each in listed) == outer.xlated()


def test_source_lines_are_those_of_the_translated_code(loaded: KernelObject) -> None:
    lines = source_lines(loaded.programs["outer"])
    assert "total += 1;" in [line.text for line in lines]
    assert {line.file.rpartition("/")[2] for line in lines} == {"listing.bpf.c"}


def test_programs_without_btf_are_listed_without_names(
    returning: Callable[..., KernelProgram],
) -> None:
    listed = list(listing(returning(ProgramType.SOCKET_FILTER, 7)))
    assert [each.text for each in listed][-2:] == ["r0 = 7", "exit"]
    assert not any(each.function or each.line for each in listed)


def test_this_process_is_found_among_the_holders(loaded: KernelObject) -> None:
    found = holders.processes()
    name = Path("/proc/self/comm").read_text().rstrip("\n")
    me = holders.Process(os.getpid(), name)
    assert me in found["program", loaded.programs["outer"].id]
    assert me in found["map", loaded.maps["counts"].id]


def test_pins_are_found_by_what_they_hold(loaded: KernelObject, bpffs: Path) -> None:
    outer, counts = loaded.programs["outer"], loaded.maps["counts"]
    outer.pin(bpffs / "outer")
    counts.pin(bpffs / "deeper" / "counts")
    found = holders.pinned()
    assert found["program", outer.id] == [bpffs / "outer"]
    assert found["map", counts.id] == [bpffs / "deeper" / "counts"]
