"""Timers and work queues run by the test's clock: when they are due, in order, with their entry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import osmia
from osmia.errors import OsmiaError
from osmia.testing import Machine
from osmia.testing.machine import START
from osmia.vm.errors import ProgramFault

SECOND = 10**9
EBUSY, EINVAL, EDEADLK = -16, -22, -35

PROGRAMS = r"""
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern int bpf_wq_init(struct bpf_wq *wq, void *map, unsigned flags) __ksym;
extern int bpf_wq_start(struct bpf_wq *wq, unsigned flags) __ksym;
extern int bpf_wq_set_callback_impl(struct bpf_wq *wq, int (*callback)(void *, int *, void *),
					unsigned flags, void *aux) __ksym;

struct entry { struct bpf_timer timer; __u64 fired, seen; };
struct job { struct bpf_wq work; __u64 done; };
struct event { __u64 time; __u32 key; __u32 kind; };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct entry);
} entries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct job);
} jobs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct event);
} events SEC(".maps");

__u32 key;
__u64 wait, flags, again;
int init, callback, start, cancel, within;

static void tell(__u32 which, __u32 kind)
{
	struct event event = { bpf_ktime_get_ns(), which, kind };

	bpf_ringbuf_output(&events, &event, sizeof(event), 0);
}

static int fire(void *map, __u32 *which, struct entry *entry)
{
	entry->fired++;
	tell(*which, 1);
	within = bpf_timer_cancel(&entry->timer);
	if (again)
		bpf_timer_start(&entry->timer, again, 0);
	return 0;
}

static int work(void *map, int *which, void *value)
{
	struct job *job = value;

	job->done++;
	tell(*which, 2);
	return 0;
}

SEC("tc") int starts(struct __sk_buff *ctx)
{
	struct entry *entry, fresh = {};

	bpf_map_update_elem(&entries, &key, &fresh, BPF_NOEXIST);
	entry = bpf_map_lookup_elem(&entries, &key);
	if (!entry)
		return 0;
	init = bpf_timer_init(&entry->timer, &entries, CLOCK_MONOTONIC);
	callback = bpf_timer_set_callback(&entry->timer, fire);
	start = bpf_timer_start(&entry->timer, wait, flags);
	return 0;
}

SEC("tc") int cancels(struct __sk_buff *ctx)
{
	struct entry *entry = bpf_map_lookup_elem(&entries, &key);

	if (!entry)
		return 0;
	cancel = bpf_timer_cancel(&entry->timer);
	start = bpf_timer_start(&entry->timer, wait, 0);
	return 0;
}

SEC("tc") int works(struct __sk_buff *ctx)
{
	struct job *job = bpf_map_lookup_elem(&jobs, &key);

	if (!job)
		return 0;
	init = bpf_wq_init(&job->work, &jobs, 0);
	callback = bpf_wq_set_callback_impl(&job->work, work, 0, NULL);
	start = bpf_wq_start(&job->work, 0);
	bpf_wq_start(&job->work, 0);
	return 0;
}

SEC("tc") int wild(struct __sk_buff *ctx)
{
	struct bpf_timer timer = {};

	return bpf_timer_init(&timer, &entries, CLOCK_MONOTONIC);
}
""".replace("CLOCK_MONOTONIC", "1")


@pytest.fixture(scope="module")
def compiled() -> osmia.Object:
    return osmia.compile(PROGRAMS)


@pytest.fixture
def bpf(compiled: osmia.Object) -> Iterator[Any]:
    with compiled.load(engine="vm", memory=1 << 25) as loaded:
        yield loaded


@pytest.fixture
def machine(bpf: Any) -> Machine:
    return Machine(bpf)


@pytest.fixture(params=["interpreter", "generated", "jit"])
def executor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(bpf: Any, program: str, executor: str, **given: int) -> list[int]:
    for name, value in given.items():
        bpf.data[name] = value
    bpf.programs[program].run(bytes(64), executor=executor)
    return [bpf.data[name] for name in ("init", "callback", "start")]


def events(bpf: Any) -> list[tuple[int, int, int]]:
    """When after the start, for which key, and of what kind."""
    return [(e.time - START, e.key, e.kind) for e in bpf.maps["events"].read()]


def test_timers_fire_when_they_are_due_in_order(bpf: Any, machine: Machine, executor: str) -> None:
    for key, wait in ((1, 3), (2, 1), (3, 3), (4, 9)):
        assert run(bpf, "starts", executor, key=key, wait=wait * SECOND) == [0, 0, 0]
    machine.advance(0.5)
    assert events(bpf) == []
    machine.advance(4)
    assert events(bpf) == [(SECOND, 2, 1), (3 * SECOND, 1, 1), (3 * SECOND, 3, 1)]
    assert machine.time == START + 4_500_000_000
    assert [bpf.maps["entries"][key].fired for key in (1, 2, 3, 4)] == [1, 1, 1, 0]


def test_a_timer_starts_itself_again(bpf: Any, machine: Machine, executor: str) -> None:
    run(bpf, "starts", executor, key=1, wait=SECOND, again=2 * SECOND)
    machine.advance(5)
    assert [time // SECOND for time, _, _ in events(bpf)] == [1, 3, 5]
    machine.advance(2)
    assert bpf.maps["entries"][1].fired == 4
    assert bpf.data["within"] == EDEADLK


def test_a_time_can_be_said(bpf: Any, machine: Machine, executor: str) -> None:
    run(bpf, "starts", executor, key=1, wait=START + 7 * SECOND, flags=1)
    machine.advance(10)
    assert events(bpf) == [(7 * SECOND, 1, 1)]


def test_a_later_start_replaces_an_earlier(bpf: Any, machine: Machine, executor: str) -> None:
    run(bpf, "starts", executor, key=1, wait=SECOND)
    assert run(bpf, "starts", executor, key=1, wait=3 * SECOND) == [EBUSY, 0, 0]
    machine.advance(2)
    assert events(bpf) == []
    machine.advance(1)
    assert len(events(bpf)) == 1


def test_a_cancelled_timer_does_not_fire(bpf: Any, machine: Machine, executor: str) -> None:
    run(bpf, "starts", executor, key=1, wait=SECOND)
    run(bpf, "cancels", executor)
    assert (bpf.data["cancel"], bpf.data["start"]) == (1, EINVAL)
    run(bpf, "cancels", executor)
    assert bpf.data["cancel"] == 0
    machine.advance(5)
    assert events(bpf) == []


def test_a_deleted_entry_has_no_timer(bpf: Any, machine: Machine, executor: str) -> None:
    run(bpf, "starts", executor, key=1, wait=SECOND)
    run(bpf, "starts", executor, key=2, wait=SECOND)
    del bpf.maps["entries"][1]
    assert run(bpf, "starts", executor, key=3, wait=2 * SECOND) == [0, 0, 0]
    machine.advance(3)
    assert [key for _, key, _ in events(bpf)] == [2, 3]
    assert len(bpf.vm.deferred.items) == 2


def test_wrong_flags_are_refused(bpf: Any, machine: Machine, executor: str) -> None:
    assert run(bpf, "starts", executor, key=1, wait=1, flags=8) == [0, 0, EINVAL]


def test_work_runs_after_the_run(bpf: Any, machine: Machine, executor: str) -> None:
    assert run(bpf, "works", executor, key=2) == [0, 0, 0]
    assert bpf.maps["jobs"][2].done == 0
    machine.advance(0)
    assert events(bpf) == [(0, 2, 2)]
    assert run(bpf, "works", executor, key=2) == [EBUSY, 0, 0]
    machine.advance(1)
    assert bpf.maps["jobs"][2].done == 2


def test_an_updated_entry_is_a_new_one_in_a_hash(bpf: Any, machine: Machine) -> None:
    run(bpf, "starts", "interpreter", key=1, wait=SECOND)
    assert not any(bytes(bpf.maps["entries"][1])[:16])
    bpf.maps["entries"][1] = {"fired": 5}
    machine.advance(1)
    assert bpf.maps["entries"][1].fired == 5


def test_an_updated_entry_keeps_its_work_in_an_array(bpf: Any, machine: Machine) -> None:
    run(bpf, "works", "interpreter", key=1)
    bpf.maps["jobs"][1] = {"done": 5}
    machine.advance(1)
    assert bpf.maps["jobs"][1].done == 6


def test_a_timer_that_is_in_no_map_is_a_fault(bpf: Any) -> None:
    with pytest.raises(ProgramFault, match="is in no value of the map"):
        bpf.programs["wild"].run(bytes(64))


def test_endless_timers_are_noticed(
    bpf: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("osmia.vm.deferred.MOST", 50)
    run(bpf, "starts", "interpreter", key=1, wait=1, again=1)
    with pytest.raises(OsmiaError, match="start each other without an end"):
        machine.advance(1)


def test_callbacks_are_counted(bpf: Any, machine: Machine) -> None:
    run(bpf, "starts", "interpreter", key=1, wait=1)
    with osmia.cover(bpf) as coverage:
        machine.advance(1)
    missing = [line for line in coverage.text().split("\n") if line.startswith("-")]
    assert not any("entry->fired++" in line for line in missing)
    assert any("entry = bpf_map_lookup_elem" in line for line in missing)


def test_nothing_of_a_closed_object_runs(compiled: osmia.Object) -> None:
    vm = osmia.Vm(memory=1 << 25)
    with vm, compiled.load(engine="vm", vm=vm) as kept:
        machine = Machine(kept)
        with compiled.load(engine="vm", vm=vm) as other:
            run(other, "starts", "interpreter", key=1, wait=SECOND)
        machine.advance(2)
        assert vm.deferred is not None and not vm.deferred.items
