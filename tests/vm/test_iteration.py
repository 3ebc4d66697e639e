"""Iterators: those that are read, over what a test gives, and those that programs open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import osmia
from osmia.btf import Kind, kernel_btf
from osmia.errors import KernelError, NotSupportedError

PROGRAMS = r"""
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

extern int bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task,
				unsigned flags) __ksym;
extern struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it) __ksym;
extern void bpf_iter_task_destroy(struct bpf_iter_task *it) __ksym;
extern int bpf_iter_bits_new(struct bpf_iter_bits *it, const __u64 *words, __u32 count) __ksym;
extern int *bpf_iter_bits_next(struct bpf_iter_bits *it) __ksym;
extern void bpf_iter_bits_destroy(struct bpf_iter_bits *it) __ksym;
extern int bpf_iter_css_new(struct bpf_iter_css *it, struct cgroup_subsys_state *start,
				unsigned flags) __ksym;
extern struct cgroup_subsys_state *bpf_iter_css_next(struct bpf_iter_css *it) __ksym;
extern void bpf_iter_css_destroy(struct bpf_iter_css *it) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

SEC("iter/task") int tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (!task) {
		BPF_SEQ_PRINTF(ctx->meta->seq, "end %llu\n", ctx->meta->seq_num);
		return 0;
	}
	BPF_SEQ_PRINTF(ctx->meta->seq, "%d %s\n", task->pid, task->comm);
	return task->pid < 0;
}

SEC("iter/task_file") int files(struct bpf_iter__task_file *ctx)
{
	if (ctx->file)
		BPF_SEQ_PRINTF(ctx->meta->seq, "%s %d %x;", ctx->task->comm, ctx->fd, ctx->file->f_flags);
	return 0;
}

SEC("iter/bpf_map_elem") int elements(struct bpf_iter__bpf_map_elem *ctx)
{
	__u64 both[2];

	if (!ctx->key || !ctx->value)
		return 0;
	both[0] = *(__u32 *)ctx->key;
	both[1] = *(__u64 *)ctx->value;
	bpf_seq_write(ctx->meta->seq, both, sizeof(both));
	return 0;
}

int error;
__u32 flags, found;
__u64 sum, bits[2];

SEC("fentry/do_exit") int BPF_PROG(walks)
{
	struct task_struct *of = flags == 2 ? bpf_get_current_task_btf() : NULL;
	struct bpf_iter_task it;
	struct task_struct *task;

	found = sum = 0;
	bpf_rcu_read_lock();
	error = bpf_iter_task_new(&it, of, flags);
	while ((task = bpf_iter_task_next(&it))) {
		found++;
		sum += task->pid;
	}
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("fentry/do_exit") int BPF_PROG(groups, struct cgroup_subsys_state *start)
{
	struct bpf_iter_css it;
	struct cgroup_subsys_state *css;

	sum = 0;
	bpf_iter_css_new(&it, start, 1);
	while ((css = bpf_iter_css_next(&it)))
		sum = sum * 10 + css->id;
	bpf_iter_css_destroy(&it);
	return 0;
}

SEC("syscall") int counts_bits(void *ctx)
{
	struct bpf_iter_bits it;
	int *bit;

	found = sum = 0;
	error = bpf_iter_bits_new(&it, bits, 2);
	while ((bit = bpf_iter_bits_next(&it))) {
		found++;
		sum += *bit;
	}
	bpf_iter_bits_destroy(&it);
	return 0;
}
"""

pytestmark = pytest.mark.skipif(
    not kernel_btf().find("bpf_iter__task", Kind.STRUCT), reason="the kernel tells no types"
)
EINVAL = -22


@pytest.fixture(scope="module")
def compiled() -> osmia.Object:
    return osmia.compile(PROGRAMS)


@pytest.fixture
def bpf(compiled: osmia.Object) -> Iterator[Any]:
    with compiled.load(engine="vm", memory=1 << 25) as loaded:
        yield loaded


def test_each_object_is_shown_and_then_the_end(bpf: Any, executor: str) -> None:
    shell = bpf.vm.struct("task_struct", comm="sh", pid=3)
    run = bpf.programs["tasks"].run
    result = run(objects=[shell, {"comm": "ls", "pid": 4}], executor=executor)
    assert result.data == b"3 sh\n4 ls\nend 2\n"
    assert run(objects=[], executor=executor).data == b"end 0\n"
    assert not bpf.vm.sequences


def test_an_object_can_have_several_parts(bpf: Any, executor: str) -> None:
    shell = bpf.vm.struct("task_struct", comm="sh")
    objects = [{"task": shell, "fd": fd, "file": {"f_flags": 16 * fd}} for fd in (1, 2)]
    assert bpf.programs["files"].run(objects=objects, executor=executor).data == b"sh 1 10;sh 2 20;"


def test_the_entries_of_a_map_are_gone_through(bpf: Any, executor: str) -> None:
    counts = bpf.maps["counts"]
    counts.update({1: 10, 2: 20})
    written = bpf.programs["elements"].run(objects=counts, executor=executor).data
    words = [int.from_bytes(written[at : at + 8], "little") for at in range(0, 32, 8)]
    assert dict(zip(words[::2], words[1::2], strict=True)) == {1: 10, 2: 20}


def test_an_object_that_is_to_be_shown_again_ends_the_reading(bpf: Any) -> None:
    with pytest.raises(KernelError, match="to be shown again"):
        bpf.programs["tasks"].run(objects=[{"pid": -1}])
    assert not bpf.vm.sequences


def test_other_programs_iterate_over_nothing(bpf: Any) -> None:
    with pytest.raises(NotSupportedError, match="is no iterator"):
        bpf.programs["walks"].run(objects=[])


@pytest.mark.parametrize(("flags", "found", "total"), [(0, 2, 10), (1, 3, 18), (2, 2, 15)])
def test_programs_walk_over_the_tests_tasks(
    bpf: Any, executor: str, flags: int, found: int, total: int
) -> None:
    numbers = ((3, 3), (7, 7), (8, 7))
    tasks = [bpf.vm.struct("task_struct", pid=pid, tgid=tgid) for pid, tgid in numbers]
    bpf.vm.lists["task"] = tasks
    bpf.vm.helpers["get_current_task_btf"] = lambda: int(tasks[1])
    bpf.data["flags"] = flags
    bpf.programs["walks"].run(args=[], executor=executor)
    assert [bpf.data[name] for name in ("error", "found", "sum")] == [0, found, total]


def test_wrong_flags_find_nothing(bpf: Any, executor: str) -> None:
    bpf.vm.lists["task"] = [bpf.vm.struct("task_struct", pid=1, tgid=1)]
    bpf.data["flags"] = 9
    bpf.programs["walks"].run(args=[], executor=executor)
    assert [bpf.data[name] for name in ("error", "found")] == [EINVAL, 0]


def test_programs_walk_over_other_lists(bpf: Any, executor: str) -> None:
    kind = "cgroup_subsys_state"
    bpf.vm.lists["css"] = [bpf.vm.struct(kind, id=number) for number in (1, 2, 3)]
    bpf.programs["groups"].run(args=[0], executor=executor)
    assert bpf.data["sum"] == 123


def test_bits_are_gone_through(bpf: Any, executor: str) -> None:
    bpf.data["bits"] = [0b1010, 1 << 5]
    bpf.programs["counts_bits"].run(executor=executor)
    assert [bpf.data[name] for name in ("error", "found", "sum")] == [0, 3, 1 + 3 + 69]
