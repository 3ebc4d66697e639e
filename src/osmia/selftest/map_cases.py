"""Cases about maps: each kind as programs and as user space see it."""

from __future__ import annotations

import os
import shutil
from typing import Any

from osmia.selftest.runner import Case, Skip, Workbench

_SOURCE = "maps.bpf.c"
_PACKET = bytes(64)
_BOTH = ("kernel", "vm")


def _hash(bench: Workbench) -> None:
    bpf = bench.load(_SOURCE, "hash")
    for _ in range(3):
        bpf.programs["hash"].run(_PACKET)
    flows: Any = bpf.maps["flows"]
    key = {"source": 64, "port": 80, "flags": bytes([1, 2])}
    bench.equal(len(flows), 1, "how many flows")
    bench.equal(flows[key].packets, 3, "packets of the flow")
    bench.equal(flows[key].bytes, 192, "bytes of the flow")
    flows[{**key, "port": 443}] = {"packets": 9, "bytes": 1}
    bench.equal(sorted(each.port for each in flows), [80, 443], "the keys, with one of ours")
    del flows[key]
    bench.raises(KeyError, lambda: flows[key])


def _per_cpu(bench: Workbench) -> None:
    bpf = bench.load(_SOURCE, "count_per_cpu")
    for _ in range(5):
        bpf.programs["count_per_cpu"].run(_PACKET)
    bench.equal(sum(bpf.maps["per_cpu"][1]), 5, "the sum over all CPUs")


def _maps_in_maps(bench: Workbench) -> None:
    bpf = bench.load(_SOURCE, "maps_in_maps")
    bpf.maps["second"][0] = 77
    result = bpf.programs["maps_in_maps"].run(_PACKET)
    bench.equal(result.retval, 77, "a value of the inner map that the object put there")


def _tail_calls(bench: Workbench) -> None:
    bpf = bench.load(_SOURCE, "tail_calls", "called")
    run = bpf.programs["tail_calls"].run
    bench.equal(run(_PACKET).retval, 42, "the program in the slot that the object filled")
    del bpf.maps["chain"][2]
    bench.equal(run(_PACKET).retval, 7, "the caller, once the slot is empty")


def _queue(bench: Workbench) -> None:
    bpf = bench.load(_SOURCE, "queues")
    queue = bpf.maps["queue"]
    queue.push(11)
    bench.equal(bpf.programs["queues"].run(_PACKET).retval, 11, "what the program took")
    bench.equal(queue.pop(), 5, "what the program put in")


def _longest_prefix(bench: Workbench) -> None:
    from ipaddress import ip_network

    bpf = bench.load(_SOURCE, "longest_prefix")
    routes = bpf.maps["routes"]
    routes[ip_network("10.0.0.0/8")] = 8
    routes[ip_network("10.1.0.0/16")] = 16
    found = bpf.programs["longest_prefix"].run(_PACKET).retval
    bench.equal(found, 16, "the longest prefix of 10.1.2.3")


def _ring_buffer(bench: Workbench) -> None:
    bpf = bench.load(_SOURCE, "send_samples")
    samples = bpf.maps["samples"]
    bench.equal(bpf.programs["send_samples"].run(_PACKET).retval, 0, "the program's result")
    read = [(sample.number, sample.square) for sample in samples.read()]
    bench.equal(read, [(0, 0), (1, 1), (2, 4), (4, 16)], "the samples, without the discarded one")


def _user_ring_buffer(bench: Workbench) -> None:
    bpf = bench.load(_SOURCE, "take_orders")
    orders = bpf.maps["orders"]
    for amount in (5, 6, 7):
        orders.send(amount.to_bytes(8, "little"))
    orders.reserve(8).discard()
    bench.equal(bpf.programs["take_orders"].run(_PACKET).retval, 3, "how many the program took")
    bench.equal(bpf.data["ordered"], 18, "their sum")


def _pinning(bench: Workbench) -> None:
    from osmia.errors import KernelError, OsmiaError
    from osmia.kernel.sys import pins

    try:
        directory = pins.find_bpffs() / f"osmia-selftest-{os.getpid()}"
        directory.mkdir(mode=0o700)
    except (OsmiaError, KernelError, OSError) as error:
        raise Skip(f"no bpffs to pin in: {error}") from None
    bench.afterwards(shutil.rmtree, directory)
    obj = bench.compile(_SOURCE, "use_pinned")
    for expected in (1, 2):
        with obj.load(pin_root=directory) as bpf:
            result = bpf.programs["use_pinned"].run(_PACKET).retval
            bench.equal(result, expected, "the value in the map that outlives its object")


CASES = (
    Case("hash", "typed keys and values", _hash, _BOTH),
    Case("per-cpu-array", "a value for each CPU", _per_cpu, _BOTH),
    Case("maps-in-maps", "inner maps put there by the object", _maps_in_maps, _BOTH),
    Case("tail-calls", "prog arrays filled by the object", _tail_calls, _BOTH),
    Case("queue", "values pushed and popped on both sides (4.20)", _queue, _BOTH),
    Case("longest-prefix", "networks as keys", _longest_prefix, _BOTH),
    Case("ring-buffer", "typed events (5.8)", _ring_buffer, _BOTH),
    Case("user-ring-buffer", "records for programs (6.1)", _user_ring_buffer),
    Case("pinning", "a map pinned by name and found again", _pinning),
)
