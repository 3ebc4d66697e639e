"""Costs: every instruction and call is counted, and the measured time is shared out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.costs.accounting import costs
from osmia.costs.flames import profile
from osmia.costs.model import Costs
from osmia.costs.text import report
from osmia.object.model import Object

SOURCE = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} totals SEC(".maps");
static __attribute__((noinline)) int count(void *map, __u32 key)
{
	__u64 *found = bpf_map_lookup_elem(&totals, &key);

	if (found)
		(*found)++;
	return 0;
}
static __attribute__((noinline)) int often(__u32 key)
{
	for (int n = 0; n < 3; n++)
		count(&totals, key + n);
	return 0;
}
SEC("xdp") int first(struct xdp_md *ctx)
{
	__u32 key = 1;
	__u64 value = bpf_ktime_get_ns();

	bpf_map_update_elem(&seen, &key, &value, BPF_ANY);
	count(&totals, 0);
	often(1);
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def obj(tmp_path_factory: pytest.TempPathFactory) -> Object:
    path: Path = tmp_path_factory.mktemp("costs") / "made.bpf.c"
    path.write_text(SOURCE)
    return osmia.compile(path)


@pytest.fixture(params=["vm", pytest.param("kernel", marks=pytest.mark.kernel)])
def found(request: pytest.FixtureRequest, obj: Object) -> Iterator[Costs]:
    yield spent(obj, request.param, 5_000)


def spent(obj: Object, engine: Any, measured_ns: int | None) -> Costs:
    """What ten runs cost."""
    with obj.load(engine, cover=True) as bpf, osmia.cover(bpf) as coverage:
        for _ in range(10):
            bpf.programs["first"].run(bytes(64))
        return costs(bpf, coverage.data, measured_ns)


def test_functions_are_counted_without_those_that_they_call(found: Costs) -> None:
    entered = {each.name: each.entered for each in found.functions}
    assert entered == {"first": 10, "often": 10, "count": 40}
    assert sum(each.instructions for each in found.lines) == found.instructions


def test_the_measured_time_is_that_of_all(found: Costs) -> None:
    assert found.ns == pytest.approx(5_000)
    assert sum(each.ns for each in found.lines) == pytest.approx(5_000)
    assert sum(each.ns for each in found.paths) == pytest.approx(5_000)


def test_calls_are_told_by_helper_and_map(found: Costs) -> None:
    calls = {(each.name, each.map): each.calls for each in found.calls}
    assert calls == {
        ("bpf_ktime_get_ns", ""): 10,
        ("bpf_map_update_elem", "seen"): 10,
        ("bpf_map_lookup_elem", "totals"): 40,
    }
    assert found.calls[0].name == "bpf_map_update_elem"


def test_the_line_that_takes_most_is_the_first(found: Costs) -> None:
    assert "bpf_map_update_elem" in found.lines[0].text
    assert found.lines[0].function == "first"
    assert [each.ns for each in found.lines] == sorted((e.ns for e in found.lines), reverse=True)


def test_a_function_is_shared_out_among_its_callers(found: Costs) -> None:
    ways: dict[tuple[str, ...], float] = {}
    for path in found.paths:
        ways[path.functions] = ways.get(path.functions, 0) + path.ns
    assert set(ways) == {
        ("first",),
        ("first", "often"),
        ("first", "count"),
        ("first", "often", "count"),
    }
    assert ways["first", "often", "count"] == pytest.approx(3 * ways["first", "count"])


def test_without_a_measured_time_estimates_stand_for_themselves(obj: Object) -> None:
    found = spent(obj, "vm", None)
    assert found.measured_ns is None
    assert found.document()["instructions"] == found.instructions > 100
    assert found.ns > 10 * 100  # helpers alone
    assert report(found).splitlines()[0].endswith(" ns estimated")


@pytest.mark.kernel
def test_the_kernel_counts_what_a_vm_counts(obj: Object) -> None:
    in_vm, in_kernel = (spent(obj, engine, None) for engine in ("vm", "kernel"))
    assert in_vm == in_kernel


def test_the_report_has_functions_lines_and_calls(found: Costs) -> None:
    lines = report(found).splitlines()
    assert lines[0] == f"{found.instructions} instructions, 5000 ns measured"
    heads = [line.split()[0] for line in lines if line.split()[-1:] in (["share"], ["source"])]
    assert heads == ["function", "line", "called"]
    assert any(line.startswith("bpf_map_lookup_elem  totals") for line in lines)


def test_the_flame_graph_has_functions_lines_and_helpers(found: Costs) -> None:
    stacks = profile(found)
    text = stacks.folded()
    assert "first;often;count;made.bpf.c:" in text
    assert ";bpf_map_update_elem " in text
    assert "<svg" in stacks.flame_graph()
    assert stacks.total == pytest.approx(5_000, rel=0.05)
