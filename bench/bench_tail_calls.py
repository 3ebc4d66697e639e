"""Tail calls in the kernel: variable keys, direct ones, dispatchers, pruned datapaths.

As root. Every figure is the least of some rounds that take turns; of a chain's what a test run
takes by itself is taken off. Constant keys show what the kernel's direct calls cost themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import datapath

import osmia
from osmia.kernel.load.loaded import KernelObject
from osmia.object import Object, ProgramType
from osmia.object.model import Pinning
from osmia.passes.attachment import for_attachment
from osmia.passes.prune import prune

LENGTH = 33
"""Tail calls that one run may make."""
BAR = 5.0
"""So many times as fast is a chain to be with direct calls."""
STAGES = 8
LEGACY = Path(__file__).resolve().parents[1] / "examples/legacy"
LEGACY_PACKET = (
    bytes(12) + b"\x08\0\x45" + bytes(8) + b"\x11" + bytes(6) + bytes((10, 7, 0, 10))
    + bytes((0, 9, 0, 53)) + bytes(22)
)  # fmt: skip
"""A datagram to port 53 of 10.7.0.10: Ethernet, IPv4 and UDP."""
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


def started(stack: ExitStack, obj: Object, last: int, **options: Any) -> Any:
    """p0 of a loaded object, from which a run goes on to p`last`."""
    loaded = stack.enter_context(obj.load(**options))
    if "next" in loaded.data:
        loaded.data["next"] = [number + 1 if number < last else 63 for number in range(64)]
    return loaded.programs["p0"]


def in_turns(runs: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """The least of what each gives, which take turns."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(ROUNDS):
        for name, run in runs.items():
            best[name] = min(best[name], run())
    return best


def run_of(program: Any, packet: bytes = bytes(64)) -> Callable[[], float]:
    return lambda: float(program.run(packet, repeat=REPEAT).duration_ns)


def run_chain(obj: Object, last: int, **options: Any) -> float:
    """ns of a run from p0 on to p`last`."""
    with ExitStack() as stack:
        return measured(started(stack, obj, last, **options))


def one_key_each(obj: Object, programs: int) -> Mapping[str, Sequence[int]]:
    """What a profile of the chain tells: the key that each site has."""
    return {f"p{number}": [number + 1] for number in range(programs)}


def print_chain() -> None:
    print(f"  a chain of {LENGTH} tail calls, ns a call")
    variable, constant = chain(LENGTH, constant=False), chain(LENGTH, constant=True)
    profile = one_key_each(variable, LENGTH + 1)
    with ExitStack() as stack:
        programs = {
            "none": started(stack, variable, 0),
            "variable keys": started(stack, variable, LENGTH),
            "direct by profile": started(stack, variable, LENGTH, direct_tail_calls=profile),
            "direct by slots": started(stack, variable, LENGTH, direct_tail_calls=True),
            "constant keys": started(stack, constant, LENGTH),
        }
        best = in_turns({name: run_of(program) for name, program in programs.items()})
    none = best.pop("none")
    rows = {name: (ns - none) / LENGTH for name, ns in best.items()}
    print_times(rows)
    times, alone = (
        rows["variable keys"] / rows[name] for name in ("direct by profile", "constant keys")
    )
    met = "met" if times >= BAR else "not met"
    print(f"    bar {BAR:.1f} times: {met}, {times:.1f} by profile; constant keys {alone:.1f}")


def print_times(rows: Mapping[str, float]) -> None:
    """Each with how many times as fast as the first it is."""
    before = next(iter(rows.values()))
    for name, ns in rows.items():
        print(f"    {name:24} {ns:7.1f}   {before / ns:5.1f} times as fast")


def print_stages() -> None:
    print(f"  a datapath of {STAGES} stages, ns a packet (XDP test runs)")
    obj, last = stages(), STAGES - 1
    profile = one_key_each(obj, STAGES)
    with ExitStack() as stack:
        programs = {
            "variable keys": started(stack, obj, last),
            "direct by profile": started(stack, obj, last, direct_tail_calls=profile),
            "direct by slots": started(stack, obj, last, direct_tail_calls=True),
        }
        print_times(in_turns({name: run_of(program) for name, program in programs.items()}))


def legacy(**options: Any) -> KernelObject:
    """The datapath in iproute2's dialect, with an endpoint that its packets go to."""
    obj = osmia.compile(LEGACY / "container.c", includes=[LEGACY])
    obj.maps = {name: replace(each, pinning=Pinning.NONE) for name, each in obj.maps.items()}
    prepared, _ = for_attachment(obj, ProgramType.SCHED_CLS, "entry")
    loaded: KernelObject = prepared.load(**options)
    loaded.maps["endpoints"][LEGACY_PACKET[30:34].ljust(16, b"\0")] = 10
    loaded.maps["policy_10"][53] = 1
    return loaded


def print_legacy() -> None:
    print("  the datapath in iproute2's dialect (examples/legacy), ns a packet (tc test runs)")
    with ExitStack() as stack:
        before = stack.enter_context(legacy()).programs["entry"]
        after = stack.enter_context(legacy(direct_tail_calls=True)).programs["entry"]
        assert before.run(LEGACY_PACKET).retval == after.run(LEGACY_PACKET).retval == 0
        runs = {
            "as it is": run_of(before, LEGACY_PACKET),
            "direct by slots": run_of(after, LEGACY_PACKET),
        }
        print_times(in_turns(runs))


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
    print_legacy()
    print_dispatchers()
    print_pruning()
