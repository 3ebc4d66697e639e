"""Tail calls in the kernel: variable keys, direct ones, dispatchers, pruned datapaths.

As root. Every figure is the least of some rounds; what a test run takes by itself is taken off.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import datapath

import osmia
from osmia.object import Object
from osmia.passes.prune import prune

LENGTH = 33
"""Tail calls that one run may make."""
STAGES = 8
REPEAT, ROUNDS = 200_000, 9

_HEAD = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 64); __type(key, __u32);
    __type(value, __u32); } calls SEC(".maps");
volatile __u32 next[64];
volatile __u64 seen;
"""
_TAIL = 'char LICENSE[] SEC("license") = "GPL";\n'


def chain(length: int, *, constant: bool) -> Object:
    """Programs that each go on in the next: by a constant key, or one that is read."""
    parts = [_HEAD]
    for number in range(length + 1):
        key = number + 1 if constant else f"next[{number}]"
        parts.append(
            f'SEC("xdp") __tail(calls, {number}) int p{number}(struct xdp_md *ctx)\n'
            f"{{ bpf_tail_call(ctx, &calls, {key}); return {number}; }}\n"
        )
    return osmia.compile(source="".join([*parts, _TAIL]))


def stages(count: int = STAGES) -> Object:
    """A packet's way through stages: each looks at it, counts, and reads who is next."""
    parts = [_HEAD]
    for number in range(count):
        parts.append(
            f'SEC("xdp") __tail(calls, {number}) int p{number}(struct xdp_md *ctx)\n'
            "{\n    unsigned char *data = (void *)(long)ctx->data;\n"
            "    if (data + 34 > (unsigned char *)(long)ctx->data_end)\n        return XDP_DROP;\n"
            f"    seen += data[{12 + number}];\n    bpf_tail_call(ctx, &calls, next[{number}]);\n"
            "    return XDP_PASS;\n}\n"
        )
    return osmia.compile(source="".join([*parts, _TAIL]))


def one_stage(number: int) -> Object:
    """One of them as an object of its own, for a dispatcher."""
    return osmia.compile(
        source=f"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
volatile __u64 seen;
SEC("xdp") int stage(struct xdp_md *ctx)
{{
    unsigned char *data = (void *)(long)ctx->data;
    if (data + 34 > (unsigned char *)(long)ctx->data_end)
        return XDP_DROP;
    seen += data[{12 + number}];
    return XDP_PASS;
}}
{_TAIL}"""
    )


def measured(program: Any) -> float:
    """ns a run, the least of some rounds."""
    return float(min(program.run(bytes(64), repeat=REPEAT).duration_ns for _ in range(ROUNDS)))


def run_chain(obj: Object, last: int, **options: Any) -> float:
    """ns of a run from p0 on to p`last`."""
    with obj.load(**options) as loaded:
        keys = [number + 1 if number < last else 63 for number in range(64)]
        if "next" in loaded.data:
            loaded.data["next"] = keys
        return measured(loaded.programs["p0"])


def one_key_each(obj: Object, programs: int) -> Mapping[str, Sequence[int]]:
    """What a profile of the chain tells: the key that each site has."""
    return {f"p{number}": [number + 1] for number in range(programs)}


def print_chain() -> None:
    print(f"  a chain of {LENGTH} tail calls, ns a call")
    variable, constant = chain(LENGTH, constant=False), chain(LENGTH, constant=True)
    floor = run_chain(variable, 0)
    before = (run_chain(variable, LENGTH) - floor) / LENGTH
    rows = {"variable keys": before}
    profile = one_key_each(variable, LENGTH + 1)
    rows["direct by profile"] = (
        run_chain(variable, LENGTH, direct_tail_calls=profile) - floor
    ) / LENGTH
    rows["direct by slots"] = (run_chain(variable, LENGTH, direct_tail_calls=True) - floor) / LENGTH
    rows["constant keys"] = (run_chain(constant, LENGTH) - floor) / LENGTH
    for name, ns in rows.items():
        print(f"    {name:24} {ns:7.1f}   {before / ns:5.1f} times as fast")


def print_stages() -> None:
    print(f"  a datapath of {STAGES} stages, ns a packet")
    obj = stages()
    before = run_chain(obj, STAGES - 1)
    profile = one_key_each(obj, STAGES)
    after = run_chain(obj, STAGES - 1, direct_tail_calls=profile)
    print(f"    {'variable keys':24} {before:7.1f}")
    print(f"    {'direct by profile':24} {after:7.1f}   {before / after:5.1f} times as fast")


def print_dispatchers() -> None:
    print("  programs that a dispatcher calls, against a chain of tail calls, ns a packet")
    for count in (2, 5, 10):
        by_tail_calls = run_chain(stages(count), count - 1)
        loaded = [one_stage(number).load() for number in range(count)]
        with osmia.dispatch(loaded) as dispatch:
            dispatched = measured(dispatch.program)
        for each in loaded:
            each.close()
        print(
            f"    {count} programs: dispatcher {dispatched:7.1f}, tail calls {by_tail_calls:7.1f}"
        )


def print_pruning() -> None:
    whole = osmia.compile(source=datapath.source())
    print(f"  pruning: {len(whole.programs)} programs, {len(whole.maps)} maps, each feature off")
    total = loaded_size(whole)
    print(f"    {'everything':12} {show(total)}")
    for feature in range(datapath.FEATURES):
        obj = whole.copy()
        obj.data[f"feature_{feature}"] = 0
        size = loaded_size(obj, prune=True)
        print(f"    without {feature:<4} {show(size)}")
    obj = whole.copy()
    for feature in range(1, datapath.FEATURES):
        obj.data[f"feature_{feature}"] = 0
    print(f"    only 0       {show(loaded_size(obj, prune=True))}")
    assert len(prune(obj).object.programs) == 1 + datapath.PROGRAMS[0]


def loaded_size(obj: Object, **options: Any) -> tuple[int, int, int, float]:
    """Programs, maps, bytes of machine code and of maps, ms of a load."""
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        with obj.load(**options) as loaded:
            best = min(best, time.perf_counter() - start)
            memory = sum(len(program.jited()) for program in loaded.programs.values())
            memory += sum(loaded.maps[name].info.memlock for name in loaded.maps)
            counts = len(loaded.programs), len(loaded.maps)
    return *counts, memory, 1000 * best


def show(size: tuple[int, int, int, float]) -> str:
    programs, maps, memory, ms = size
    return f"{programs:3} programs {maps:3} maps {memory // 1024:6} KiB {ms:7.1f} ms"


if __name__ == "__main__":
    print_chain()
    print_stages()
    print_dispatchers()
    print_pruning()
