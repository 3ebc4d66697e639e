"""bpf_perf_event_output against the kernel: every way to fail, by program type and by reader."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest

import osmia
from osmia.engine.maps import Map
from osmia.object.uapi import MapType
from osmia.vm.engine import Vm

pytestmark = pytest.mark.kernel

SOURCE = r"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 4);
	__uint(value_size, 4); __uint(max_entries, 8); } events SEC(".maps");
char data[4096]; __u64 flags; int size; long ret;
#define SEND(SECTION, NAME, CONTEXT) SEC(SECTION) int NAME(CONTEXT *ctx) { \
	__u32 n = size; if (n > sizeof(data)) return 1; \
	ret = bpf_perf_event_output(ctx, &events, flags, data, n); return 1; }
SEND("tc", on_tc, struct __sk_buff)
SEND("xdp", on_xdp, struct xdp_md)
SEND("socket", on_socket, struct __sk_buff)
SEND("cgroup_skb/ingress", on_group, struct __sk_buff)
SEND("lwt_in", on_route, struct __sk_buff)
SEND("raw_tp", on_tracepoint, void)
"""
PROGRAMS = ("on_tc", "on_xdp", "on_socket", "on_group", "on_route", "on_tracepoint")
PACKET = bytes(12) + b"\x08\0\x45\0\0\x32" + bytes(46)
THIS_CPU = 0xFFFF_FFFF
FLAGS = [
    *(THIS_CPU, 0, 1, 7, 8, 100, 1 << 52 | THIS_CPU, 1 << 52 | 8, 1 << 63),
    *(1 << 32 | THIS_CPU, 20 << 32 | THIS_CPU, 200 << 32 | THIS_CPU, 0xFFFFF << 32 | THIS_CPU),
    *(200 << 32 | 8, 1 << 32 | 7),
]


@pytest.fixture
def on_cpu_0() -> Iterator[None]:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    yield
    os.sched_setaffinity(0, allowed)


def sent(bpf: Any, program: str, flags: int, size: int) -> int:
    bpf.data["flags"], bpf.data["size"], bpf.data["ret"] = flags, size, 99
    if program == "on_tracepoint":
        bpf.programs[program].run(ctx=[0, 0])
    else:
        bpf.programs[program].run(PACKET)
    ret: int = bpf.data["ret"]
    return ret


@pytest.mark.parametrize("program", PROGRAMS)
def test_events_are_sent_and_refused_as_in_the_kernel(on_cpu_0: None, program: str) -> None:
    obj, wrong = osmia.compile(SOURCE), []
    cpus = os.cpu_count() or 1
    with obj.load() as kernel, obj.load(engine="vm", cpus=cpus) as vm:
        for reader in ("none", "open", "closed"):
            for bpf in (kernel, vm):
                held: Any = bpf.maps["events"]
                if reader == "open":
                    held.poll(0)
                elif reader == "closed":
                    held.events.close()
            for flags, size in itertools.product(FLAGS, (0, 1, 8, 4096)):
                told = [sent(bpf, program, flags, size) for bpf in (kernel, vm)]
                if told[0] != told[1]:
                    wrong.append((reader, hex(flags), size, *told))
                if reader == "open":
                    for bpf in (kernel, vm):
                        bpf.maps["events"].read()
    assert not wrong


def test_what_is_sent_before_there_is_a_reader_is_lost(on_cpu_0: None) -> None:
    obj = osmia.compile(SOURCE)
    for engine in ("kernel", "vm"):
        with obj.load(engine=engine) as bpf:
            events: Any = bpf.maps["events"]
            assert sent(bpf, "on_xdp", THIS_CPU, 8) == -2
            assert events.read() == []
            assert sent(bpf, "on_xdp", THIS_CPU, 8) == 0
            assert [len(data) for _, data in events.read()] == [12 if engine == "kernel" else 8]


@pytest.mark.parametrize("kind", [MapType.XSKMAP, MapType.PERF_EVENT_ARRAY])
def test_what_only_programs_look_into_is_closed_to_python_as_in_the_kernel(
    vm: Vm, kind: MapType
) -> None:
    sizes: dict[str, Any] = {"key_size": 4, "value_size": 4, "max_entries": 2}
    with Map.create(kind, **sizes) as theirs, vm.create_map(kind, **sizes) as mine:
        for key in (b"\0\0\0\0", b"\1\0\0\0", b"\2\0\0\0"):
            for flags in (0, 1, 4, 8):
                told = [held.raw.lookup_with(key, flags) for held in (theirs, mine)]
                assert told[0] == told[1]
            assert theirs.raw.next_key(key) == mine.raw.next_key(key)
        both: list[Any] = [theirs, mine]
        for held in both:
            if kind is MapType.XSKMAP:
                for read in (lambda h: h[0], lambda h: list(h.items()), lambda h: len(h)):
                    with pytest.raises(osmia.OsmiaError, match="no such operation"):
                        read(held)
