"""Counting in the kernel: test runs, attached programs, all CPUs, everything that programs call."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

import osmia
from osmia.coverage.model import CoverageData
from osmia.errors import ClosedError
from osmia.kernel.probes import features
from osmia.object.model import Object
from osmia.passes.cover import SECTION

from .gate_program import PACKETS, PLAIN

pytestmark = pytest.mark.kernel

PARTS = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct guarded { struct bpf_spin_lock lock; int value; };
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct guarded);
} values SEC(".maps");
int last(struct xdp_md *ctx);
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__array(values, int (void *));
} next SEC(".maps") = { .values = { [1] = (void *)&last } };
#define TWICE(given) INSIDE
int sum;
static __attribute__((noinline)) int twice(int given)
{
	barrier_var(given);
	return given > 100 ? 100 : given * 2;
}
static long add(__u64 index, void *into)
{
	if (index == 3)
		return 1;
	sum += index;
	return 0;
}
__attribute__((noinline)) int global(struct xdp_md *ctx, int way)
{
	return way ? bpf_get_prandom_u32() & 1 : ctx->data == 0;
}
SEC("xdp") int last(struct xdp_md *ctx)
{
	return ctx->data_end - ctx->data > 20 ? XDP_PASS : XDP_TX;
}
SEC("xdp") int first(struct xdp_md *ctx)
{
	int key = 0, held;
	struct guarded *found = bpf_map_lookup_elem(&values, &key);

	if (!found)
		return XDP_ABORTED;
	bpf_spin_lock(&found->lock);
	held = found->value = TWICE(found->value + 1);
	bpf_spin_unlock(&found->lock);
	held = twice(held);
	bpf_loop(10, add, &key, 0);
	global(ctx, 0);
	if (held > 5)
		bpf_tail_call(ctx, &next, 1);
	bpf_tail_call(ctx, &next, 0);
	return XDP_DROP;
}
char _license[] SEC("license") = "GPL";
"""
CALLS = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
int only;
SEC("raw_tp/sys_enter") int enter(void *ctx)
{
	if ((int)(bpf_get_current_pid_tgid() >> 32) != only)
		return 0;
	return bpf_ktime_get_ns() & 1;
}
char _license[] SEC("license") = "GPL";
"""


def compiled(source: str, directory: Path) -> Object:
    path = directory / "made.bpf.c"
    path.write_text(source)
    return osmia.compile(path)


def entered(data: CoverageData) -> dict[str, int]:
    return {each.name: each.entered for each in data.functions.values()}


@pytest.mark.parametrize("inside", ["((given) + 0)", "twice(given)"])
def test_subprograms_callbacks_tail_calls_and_locks_count_as_in_a_vm(
    tmp_path: Path, inside: str
) -> None:
    called = inside.startswith("twice")
    if called and features.kernel_is_older_than("6.9"):
        pytest.skip("functions are called under a lock since Linux 6.9")
    obj = compiled(PARTS.replace("INSIDE", inside), tmp_path)
    datas = []
    for engine in ("kernel", "vm"):
        with obj.load(engine, cover=True) as bpf, osmia.cover(bpf) as coverage:
            verdicts = [bpf.programs["first"].run(bytes(64)).verdict for _ in range(4)]
        datas.append(coverage.data)
        assert verdicts.count("XDP_PASS") in (2, 3) and verdicts[0] == "XDP_DROP"
    in_kernel, in_vm = datas
    assert entered(in_kernel) == {
        "first": 4,
        "twice": 8 if called else 4,
        "add": 16,
        "global": 4,
        "last": verdicts.count("XDP_PASS"),
    }
    assert in_kernel.functions.keys() == in_vm.functions.keys()
    for key, each in in_vm.functions.items():
        assert in_kernel.functions[key].slots == each.slots
        assert in_kernel.functions[key].ways == each.ways


def test_engines_merge_into_one_report(gate: Object) -> None:
    merged = CoverageData()
    for engine in ("kernel", "vm"):
        with gate.load(engine, cover=True) as bpf, osmia.cover(bpf) as coverage:
            for packet in PACKETS:
                bpf.programs["gate"].run(packet)
        merged.merge(coverage.data)
    assert entered(merged)["gate"] == 2 * len(PACKETS)
    assert len(merged.functions) == 2


def test_what_runs_before_and_afterwards_is_not_counted(gate: Object) -> None:
    with gate.load(cover=True) as bpf:
        program = bpf.programs["gate"]
        program.run(PLAIN)
        with osmia.cover(bpf) as outer:
            program.run(PLAIN)
            with osmia.cover(bpf) as inner:
                program.run(PLAIN, repeat=5)
        program.run(PLAIN)
    assert (entered(outer.data)["gate"], entered(inner.data)["gate"]) == (6, 5)


def test_coverage_of_an_object_that_is_closed_is_what_ran_until_then(gate: Object) -> None:
    with gate.load(cover=True) as bpf:
        coverage = osmia.cover(bpf)
        bpf.programs["gate"].run(PLAIN)
    assert entered(coverage.data)["gate"] == 1
    assert entered(coverage.stop())["gate"] == 1
    with pytest.raises(ClosedError):
        osmia.cover(bpf)


def test_attached_programs_are_counted(tmp_path: Path) -> None:
    obj = compiled(CALLS, tmp_path)
    obj.data["only"] = os.getpid()
    with obj.load(cover=True) as bpf, bpf.programs["enter"].attach():
        with osmia.cover(bpf) as coverage:
            for _ in range(100):
                os.getppid()
        mine = max(each.hits for each in coverage.data.lines().popitem()[1].values())
        (branch,) = coverage.data.branches()
    assert mine >= sum(count for _, count in branch.ways) >= 100
    assert dict(branch.ways)


def test_no_count_is_lost_where_all_cpus_run(gate: Object) -> None:
    def run() -> None:
        for _ in range(20):
            program.run(PLAIN, repeat=500)

    with gate.load(cover=True) as bpf, osmia.cover(bpf) as coverage:
        program = bpf.programs["gate"]
        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert entered(coverage.data) == {"gate": 40_000, "weigh": 40_000}


def test_the_counters_are_no_map_of_the_object_and_in_a_vm_there_are_none(gate: Object) -> None:
    with gate.load(cover=True) as bpf, gate.load() as plain, gate.load("vm", cover=True) as vm:
        assert SECTION not in bpf.maps
        assert dict(bpf.data) == dict(plain.data)
        assert SECTION in bpf.section_maps
        assert SECTION not in vm.section_maps
        assert plain.programs["gate"].info.tag != bpf.programs["gate"].info.tag
        assert gate.functions == bpf.source.functions


def test_a_clone_counts_with_the_others(gate: Object) -> None:
    with gate.load(cover=True) as bpf, osmia.cover(bpf) as coverage, bpf.clone("gate") as other:
        other.run(PLAIN)
    assert entered(coverage.data)["gate"] == 1


def test_functions_that_are_named_are_counted_alone(tmp_path: Path) -> None:
    obj = compiled(PARTS.replace("INSIDE", "((given) + 0)"), tmp_path)
    with obj.load(cover=True) as bpf, osmia.cover(bpf) as coverage:
        bpf.programs["first"].run(bytes(64))
    with obj.load(cover=["twice", "last"]) as bpf, osmia.cover(bpf) as part:
        bpf.programs["first"].run(bytes(64))
    whole = entered(coverage.data)
    assert entered(part.data) == {name: whole[name] for name in ("last", "twice")}
