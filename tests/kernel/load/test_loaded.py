"""Loaded objects as a whole: pinned and unpinned, all parts or none."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

import osmia
from osmia.engine.maps import Map
from osmia.errors import KernelError
from osmia.kernel.programs.program import KernelProgram

pytestmark = pytest.mark.kernel

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, __u32);
         __type(value, __u64); } flows SEC(".maps"), limits SEC(".maps");
__u64 packets;
SEC("xdp") int ingress(struct xdp_md *ctx) {
    __u32 zero = 0;
    packets++;
    return bpf_map_lookup_elem(&flows, &zero) ? XDP_DROP : XDP_PASS;
}
SEC("tc") int egress(struct __sk_buff *skb) { return 0; }
"""


@pytest.fixture(scope="module")
def obj() -> osmia.Object:
    return osmia.compile(SOURCE)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_all_parts_are_pinned_under_their_names(obj: osmia.Object, bpffs: Path) -> None:
    with obj.load() as bpf:
        made = bpf.pin(bpffs / "deep" / "here")
        ids = {name: program.id for name, program in bpf.programs.items()}
    assert {path.name for path in made} == names(bpffs / "deep" / "here")
    for name, identifier in ids.items():
        with KernelProgram.from_pin(bpffs / "deep" / "here" / name) as again:
            assert again.id == identifier
    with Map.from_pin(bpffs / "deep" / "here" / "flows") as flows:
        assert flows.name == "flows"
    with obj.load() as another:
        another.unpin(bpffs / "deep" / "here")
    assert names(bpffs / "deep") == set()


def test_programs_and_maps_can_go_to_places_of_their_own(obj: osmia.Object, bpffs: Path) -> None:
    with obj.load() as bpf:
        bpf.pin(bpffs / "maps", programs=False)
        bpf.pin(bpffs / "programs", maps=False)
        assert names(bpffs / "maps") == {"flows", "limits"}
        assert names(bpffs / "programs") == {"ingress", "egress"}
        bpf.unpin(bpffs / "maps", programs=False)
        assert names(bpffs) == {"programs"}
        bpf.unpin(bpffs / "programs")  # maps that are not there are passed over
        assert names(bpffs) == set()


@pytest.mark.parametrize("taken", ["limits", "egress", "ingress"])
def test_when_one_cannot_be_pinned_none_is(taken: str, obj: osmia.Object, bpffs: Path) -> None:
    (bpffs / "mine").mkdir()
    (bpffs / "mine" / taken).mkdir()
    with obj.load() as bpf, pytest.raises(KernelError, match=f"'{taken}'.*EEXIST"):
        bpf.pin(bpffs / "mine")
    assert names(bpffs / "mine") == {taken}


def test_elsewhere_nothing_is_pinned(obj: osmia.Object, tmp_path: Path) -> None:
    with obj.load() as bpf, pytest.raises(KernelError, match="is not in a bpffs"):
        bpf.pin(tmp_path / "place")
    assert names(tmp_path) == set()


def test_what_is_in_no_bpffs_is_not_removed(obj: osmia.Object, tmp_path: Path) -> None:
    (tmp_path / "flows").write_text("precious")
    with obj.load() as bpf, pytest.raises(KernelError, match="not in a bpffs"):
        bpf.unpin(tmp_path)
    assert names(tmp_path) == {"flows"}


TRACING = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
char LICENSE[] SEC("license") = "GPL";
SEC("tp/sched/sched_process_exit") int first(void *ctx) { return 0; }
SEC("raw_tp/sched_process_exit") int second(void *ctx) { return 0; }
SEC("struct_ops") __u32 BPF_PROG(ssthresh, struct sock *sk) { return 2; }
SEC("struct_ops") __u32 BPF_PROG(undo, struct sock *sk) { return 10; }
SEC("struct_ops") void BPF_PROG(avoid, struct sock *sk, __u32 ack, __u32 acked) { }
SEC(".struct_ops") struct tcp_congestion_ops control = {
    .ssthresh = (void *)ssthresh, .undo_cwnd = (void *)undo, .cong_avoid = (void *)avoid,
    .name = "osmia_loaded",
};
"""


@pytest.mark.parametrize(
    ("without", "attached"),
    [
        ([], ["'first'", "'second'", "'control'"]),
        (["control"], ["'first'", "'second'"]),
        (["first", "control"], ["'second'"]),
    ],
)
def test_what_is_left_out_is_not_attached(without: list[str], attached: list[str]) -> None:
    with osmia.compile(TRACING).load() as bpf, ExitStack() as stack:
        links = [stack.enter_context(link) for link in bpf.attach(without=without)]
        assert [link.what.split()[1] for link in links] == attached


def test_a_name_that_is_nothing_cannot_be_left_out() -> None:
    with (
        osmia.compile(TRACING).load() as bpf,
        pytest.raises(KeyError, match="did you mean 'first'"),
    ):
        bpf.attach(without=["firts"])
