"""Whole objects for an interface: what bpf(2) is asked for, and what it says here."""

from __future__ import annotations

import ctypes
import errno
from dataclasses import replace

import pytest

import osmia
from osmia.errors import NotSupportedError
from osmia.isa import assemble
from osmia.kernel.probes.features import kernel_is_older_than
from osmia.kernel.sys import attributes, syscall
from osmia.kernel.sys.syscall import Command
from osmia.object.model import Function, Map, Program
from osmia.object.uapi import MapType, ProgramFlag, ProgramType
from osmia.toolchain.objects import compile_object

from ..conftest import Network

pytestmark = pytest.mark.kernel

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
__u64 count;
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4); __type(key, __u32);
         __type(value, __u64); } seen SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 4);
         __uint(value_size, 4); } events SEC(".maps");
SEC("xdp") int packet(struct xdp_md *ctx)
{
    __u32 key = 1;
    count++;
    bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &key, sizeof(key));
    return bpf_map_lookup_elem(&seen, &key) ? XDP_DROP : XDP_PASS;
}
"""


@pytest.fixture(scope="module")
def obj() -> osmia.Object:
    return compile_object(SOURCE)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The interface that each map and program was for, by name; nothing is held by one."""
    found: dict[str, int] = {}
    invoke = syscall.invoke

    def noting(command: int, attribute: ctypes.Structure) -> int:
        told = bytes(attribute)
        if command == Command.MAP_CREATE:
            field = attributes.MapCreate.map_ifindex
            name = told[28:44].rstrip(b"\0").decode()
            found[name] = int.from_bytes(told[44:48], "little")
            assert field.offset == 44
            attribute.map_ifindex = 0
        elif command == Command.PROG_LOAD:
            name = told[48:64].rstrip(b"\0").decode()
            found[name] = int.from_bytes(told[64:68], "little")
            attribute.prog_ifindex = 0
            attribute.prog_flags &= ~ProgramFlag.XDP_DEV_BOUND_ONLY
        return invoke(command, attribute)

    monkeypatch.setattr(syscall, "invoke", noting)
    return found


def test_all_of_an_object_but_perf_buffers_is_for_the_interface(
    obj: osmia.Object, asked: dict[str, int]
) -> None:
    obj.load(ifindex=7).close()
    assert {name: asked[name] for name in ("packet", "seen", "events")} == {
        "packet": 7,
        "seen": 7,
        "events": 0,
    }
    (data,) = [name for name in asked if name.endswith(".bss")]
    assert asked[data] == 7


def test_maps_of_programs_that_are_only_bound_stay_the_kernels(
    obj: osmia.Object, asked: dict[str, int]
) -> None:
    bound = obj.copy()
    bound.programs["packet"] = replace(obj.programs["packet"], flags=ProgramFlag.XDP_DEV_BOUND_ONLY)
    bound.load(ifindex=7).close()
    assert (asked["packet"], asked["seen"]) == (7, 0)


def test_an_interface_that_takes_nothing_is_named(obj: osmia.Object) -> None:
    with pytest.raises(NotSupportedError, match="interface lo does not take map 'seen'"):
        obj.load(ifindex=1)
    alone = obj.copy(maps={}, data_sections={}, functions={}, programs={})
    alone.functions["p"] = Function("p", "xdp", assemble("r0 = 2\nexit"))
    alone.programs["p"] = Program("p", "p", "xdp", ProgramType.XDP)
    with pytest.raises(NotSupportedError, match="interface lo does not take program 'p'"):
        alone.load(ifindex=1)
    alone.maps["m"] = Map("m", MapType.HASH, 4, 4, 1)
    with pytest.raises(NotSupportedError, match=r"interface 99999 .*: cannot create map 'm'"):
        alone.load(ifindex=99999)


def test_programs_are_bound_to_interfaces_that_have_metadata(
    obj: osmia.Object, network: Network
) -> None:
    bound = obj.copy()
    bound.programs["packet"] = replace(obj.programs["packet"], flags=ProgramFlag.XDP_DEV_BOUND_ONLY)
    if kernel_is_older_than("6.3"):
        with pytest.raises(NotSupportedError):
            bound.load(ifindex=network.left_index)
        return
    with bound.load(ifindex=network.left_index) as bpf:
        bpf.programs["packet"].attach(network.left).close()
        with pytest.raises(OSError) as refused:
            bpf.programs["packet"].attach("lo")
        assert refused.value.errno == errno.EINVAL
