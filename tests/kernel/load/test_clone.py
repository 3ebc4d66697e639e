"""One program of an object loaded several times, with the same maps."""

from __future__ import annotations

import pytest

import osmia
from osmia.errors import ClosedError, OsmiaError
from osmia.object.uapi import AttachType, ProgramFlag
from osmia.toolchain.objects import compile_object

pytestmark = pytest.mark.kernel

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
const volatile __u32 step = 5;
__u64 count;
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4); __type(key, __u32);
         __type(value, __u64); } seen SEC(".maps");
static __noinline int add(__u32 key)
{
    __u64 one = 1;
    count += step;
    return bpf_map_update_elem(&seen, &key, &one, 0);
}
SEC("xdp") int packet(struct xdp_md *ctx) { return add(1) ? XDP_ABORTED : XDP_PASS; }
SEC("?xdp") int left_out(struct xdp_md *ctx) { return XDP_DROP; }
SEC("fentry/vfs_read") int BPF_enter(void *ctx) { return 0; }
"""
PACKET = bytes(64)


@pytest.fixture(scope="module")
def obj() -> osmia.Object:
    found = compile_object(SOURCE)
    found.set_autoload("BPF_enter", False)
    return found


def test_a_clone_is_the_same_program_over_the_same_maps(obj: osmia.Object) -> None:
    with obj.load() as bpf:
        with bpf.clone("packet") as clone:
            assert clone.id != bpf.programs["packet"].id
            assert clone.info.tag == bpf.programs["packet"].info.tag
            assert set(clone.info.map_ids) == set(bpf.programs["packet"].info.map_ids)
            assert clone.info.function_count == 2
            clone.run(PACKET)
            bpf.programs["packet"].run(PACKET)
        assert bpf.data["count"] == 10
        assert dict(bpf.maps["seen"]) == {1: 1}


def test_a_clone_may_be_for_something_else(obj: osmia.Object) -> None:
    with obj.load() as bpf, bpf.clone("packet", expected_attach_type=AttachType.XDP_CPUMAP) as it:
        with bpf.clone("packet", flags=ProgramFlag.XDP_HAS_FRAGS) as frags:
            assert frags.run(bytes(9000)).retval == 2
        # A program of a CPU map is not for interfaces.
        with pytest.raises(OsmiaError):
            it.attach("lo")


def test_a_clone_outlives_the_object(obj: osmia.Object) -> None:
    bpf = obj.load()
    with bpf.clone("packet") as clone:
        bpf.close()
        assert clone.run(PACKET).retval == 2
    with pytest.raises(ClosedError):
        bpf.clone("packet")


def test_what_cannot_be_cloned_is_named(obj: osmia.Object) -> None:
    with obj.load() as bpf:
        for name in ("nobody", "left_out"):
            with pytest.raises(KeyError, match=name):
                bpf.clone(name)
        with pytest.raises(TypeError, match="colour"):
            bpf.clone("packet", colour="red")
        with pytest.raises(OsmiaError, match="packet"):
            bpf.clone("packet", flags=ProgramFlag.SLEEPABLE)


@pytest.mark.second_kernel
def test_clones_trace_functions_of_their_own() -> None:
    tracing = compile_object(SOURCE)
    with tracing.load() as bpf, bpf.clone("BPF_enter", attach_to="vfs_write") as write:
        attached = {bpf.programs["BPF_enter"].info.attach_btf_id, write.info.attach_btf_id}
        assert len(attached) == 2 and 0 not in attached
