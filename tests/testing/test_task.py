"""The task that runs is the one that the test says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import osmia
from osmia.btf import Kind, kernel_btf
from osmia.errors import CodecError
from osmia.testing import Machine

PROGRAMS = r"""
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

char name[16], read[16];
__u32 pid, tgid, uid, gid, number, owner;
__u64 group;

static __always_inline void look(void)
{
	__u64 both = bpf_get_current_pid_tgid(), ids = bpf_get_current_uid_gid();

	pid = both;
	tgid = both >> 32;
	uid = ids;
	gid = ids >> 32;
	group = bpf_get_current_cgroup_id();
	bpf_get_current_comm(name, sizeof(name));
}

SEC("kprobe/do_exit")
int probe(struct pt_regs *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	look();
	BPF_CORE_READ_STR_INTO(&read, task, comm);
	number = BPF_CORE_READ(task, pid);
	owner = BPF_CORE_READ(task, cred, uid.val);
	return 0;
}

SEC("fentry/do_exit")
int BPF_PROG(enters, long code)
{
	struct task_struct *task = bpf_get_current_task_btf();

	look();
	bpf_probe_read_kernel_str(read, sizeof(read), task->comm);
	number = task->pid;
	owner = task->cred->uid.val;
	return 0;
}
"""

pytestmark = pytest.mark.skipif(
    not kernel_btf().find("task_struct", Kind.STRUCT), reason="the kernel tells no types"
)


@pytest.fixture(scope="module")
def compiled() -> osmia.Object:
    return osmia.compile(PROGRAMS)


@pytest.fixture
def bpf(compiled: osmia.Object) -> Iterator[Any]:
    with compiled.load(engine="vm", memory=1 << 25) as loaded:
        yield loaded


def seen(bpf: Any) -> list[Any]:
    return [str(bpf.data[name]) for name in ("name", "read")] + [
        bpf.data[name] for name in ("pid", "number", "tgid", "uid", "owner", "gid")
    ]


@pytest.mark.parametrize("program", ["probe", "enters"])
@pytest.mark.parametrize("executor", ["interpreter", "generated", "jit"])
def test_helpers_and_the_structure_tell_of_one_task(bpf: Any, program: str, executor: str) -> None:
    machine = Machine(bpf)
    run = bpf.programs[program].run
    task = machine.run_as(comm="ls", pid=7, tgid=6, uid=1000, gid=100, cgroup=9)
    run(args=[0], executor=executor)
    assert seen(bpf) == ["ls", "ls", 7, 7, 6, 1000, 1000, 100]
    assert bpf.data["group"] == 9
    assert task is not None
    task.comm, task.pid = "cat", 8
    run(args=[0], executor=executor)
    assert seen(bpf) == ["cat", "cat", 8, 8, 6, 1000, 1000, 100]
    other = bpf.vm.struct("task_struct", comm="sh", pid=3, tgid=3, cred={"uid": 5})
    machine.run_as(other, uid=5)
    run(args=[0], executor=executor)
    assert seen(bpf) == ["sh", "sh", 3, 3, 3, 5, 5, 0]


def test_names_are_as_short_as_tasks_have_them(bpf: Any) -> None:
    with pytest.raises(CodecError):
        Machine(bpf).run_as(comm="sixteen letters!!")
