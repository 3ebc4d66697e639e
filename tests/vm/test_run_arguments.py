"""Programs that the kernel would call with a function's arguments, called by the test: structures
of BTF types, what follows them, results, registers, verdicts."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest

import osmia
from osmia.btf import BTFBuilder, Kind, kernel_btf
from osmia.errors import CodecError, KernelError, NotSupportedError
from osmia.isa import assemble
from osmia.object.uapi import ProgramType
from osmia.passes.target import Target
from osmia.vm.engine import Vm
from osmia.vm.errors import ProgramFault

EPERM = 1

PROGRAMS = r"""
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

char comm[16], parent[16], name[32];
long number, second, result;
__u64 word;

SEC("fentry/vfs_open")
int BPF_PROG(on_open, const struct path *path, struct file *file)
{
	bpf_probe_read_kernel_str(name, sizeof(name), path->dentry->d_name.name);
	number = file->f_flags;
	return 0;
}

SEC("fexit/vfs_open")
int BPF_PROG(opened, const struct path *path, struct file *file, int ret)
{
	number = path->dentry->d_name.len;
	result = ret;
	return 0;
}

SEC("fmod_ret/should_failslab")
int BPF_PROG(fails, struct kmem_cache *cache, gfp_t flags, int ret)
{
	number = flags;
	return ret ?: -12;
}

SEC("lsm/file_open")
int BPF_PROG(may_open, struct file *file, int ret)
{
	if (ret)
		return ret;
	return file->f_flags & 1 ? -1 : 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switched, bool preempt, struct task_struct *from, struct task_struct *to,
			unsigned state)
{
	bpf_probe_read_kernel_str(comm, sizeof(comm), to->comm);
	BPF_CORE_READ_STR_INTO(&parent, from, real_parent, comm);
	number = to->real_parent->real_parent->pid;  /* of which there is none */
	second = from->pid;
	result = state;
	return 0;
}

SEC("raw_tp/sched_switch")
int BPF_PROG(raw, bool preempt, struct task_struct *from, struct task_struct *to)
{
	number = BPF_CORE_READ(to, pid);
	second = preempt;
	return 0;
}

SEC("kprobe/do_unlinkat")
int BPF_KPROBE(unlinks, int at, struct filename *file)
{
	number = at;
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(file, name));
	return 0;
}

SEC("kretprobe/do_unlinkat")
int BPF_KRETPROBE(unlinked, long ret)
{
	result = ret;
	return 0;
}

SEC("ksyscall/openat")
int BPF_KSYSCALL(opens, int at, const char *path, int flags, int mode)
{
	number = at;
	second = flags;
	result = mode;
	bpf_probe_read_user_str(name, sizeof(name), path);
	return 0;
}

SEC("uprobe")
int BPF_UPROBE(called, const char *text, long size)
{
	bpf_probe_read_user_str(name, sizeof(name), text);
	number = size;
	return 0;
}

SEC("tp/syscalls/sys_enter_openat")
int enters(struct trace_event_raw_sys_enter *ctx)
{
	bpf_probe_read_user_str(name, sizeof(name), (void *)ctx->args[1]);
	number = ctx->args[0];
	return 0;
}

SEC("tp/syscalls/sys_exit_openat")
int leaves(struct trace_event_raw_sys_exit *ctx)
{
	result = ctx->ret;
	return 0;
}

SEC("tp/sched/sched_process_exec")
int executes(struct trace_event_raw_sched_process_exec *ctx)
{
	number = ctx->pid;
	return 0;
}

SEC("fentry/vfs_open")
int BPF_PROG(writes, struct path *path)
{
	*(volatile __u64 *)&path->dentry = 0;
	return 0;
}

SEC("fentry/vfs_open")
int BPF_PROG(wild, __u64 address)
{
	word = *(__u64 *)address;
	number = *(__s32 *)(address + 8);
	return 0;
}

SEC("xdp") int packets(struct xdp_md *ctx) { return XDP_PASS; }
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


def test_a_function_is_entered_with_structures(bpf: Any, executor: str) -> None:
    file = bpf.vm.struct("file", f_flags=0x8000)
    path = {"dentry": {"d_name": {"name": "passwd", "len": 6}}}
    bpf.programs["on_open"].run(args=[path, file], executor=executor)
    assert (str(bpf.data["name"]), bpf.data["number"]) == ("passwd", 0x8000)
    file.f_flags = 2
    bpf.programs["on_open"].run(args=[path, file], executor=executor)
    assert bpf.data["number"] == 2


def test_a_result_is_behind_the_arguments(bpf: Any, executor: str) -> None:
    path = {"dentry": {"d_name": {"len": 9}}}
    bpf.programs["opened"].run(args=[path], result=-2, executor=executor)
    assert (bpf.data["number"], bpf.data["result"]) == (9, -2)
    decided = bpf.programs["fails"].run(args=[None, 0xCC0], executor=executor)
    assert (decided.verdict, bpf.data["number"]) == ("-ENOMEM", 0xCC0)
    assert bpf.programs["fails"].run(args=[None, 0], result=-5, executor=executor).verdict == "-EIO"


def test_a_security_hook_decides(bpf: Any, executor: str) -> None:
    run = bpf.programs["may_open"].run
    assert run(args=[{"f_flags": 1}], executor=executor).verdict == "-EPERM"
    assert run(args=[{"f_flags": 2}], executor=executor).verdict == "0"
    assert run(args=[{"f_flags": 2}], result=-13, executor=executor).verdict == "-EACCES"


def test_a_typed_tracepoint_follows_pointers_until_there_is_none(bpf: Any, executor: str) -> None:
    shell = bpf.vm.struct("task_struct", comm="sh", pid=2)
    before = bpf.vm.struct("task_struct", comm="cat", pid=3, real_parent=shell)
    after = bpf.vm.struct("task_struct", comm="ls", pid=4, real_parent=shell)
    bpf.data["number"] = 7
    bpf.programs["switched"].run(args=[True, before, after, 1], executor=executor)
    assert (str(bpf.data["comm"]), str(bpf.data["parent"])) == ("ls", "sh")
    assert (bpf.data["number"], bpf.data["second"], bpf.data["result"]) == (0, 3, 1)
    bpf.programs["raw"].run(args=[1, before, after], executor=executor)
    assert (bpf.data["number"], bpf.data["second"]) == (4, 1)


@pytest.mark.parametrize("address", [0, 0xFFFF_8880_0000_1000, 1 << 47, 1 << 63, 1 << 30])
def test_what_is_read_where_nothing_is_is_zero(bpf: Any, executor: str, address: int) -> None:
    bpf.data["word"] = bpf.data["number"] = 7
    bpf.programs["wild"].run(args=[address], executor=executor)
    assert (bpf.data["word"], bpf.data["number"]) == (0, 0)


def test_what_is_there_is_read(bpf: Any, executor: str) -> None:
    bpf.programs["wild"].run(args=[struct.pack("<Qi", 5, -6)], executor=executor)
    assert (bpf.data["word"], bpf.data["number"]) == (5, -6)


def test_probes_find_arguments_in_registers(bpf: Any, executor: str) -> None:
    bpf.programs["unlinks"].run(args=[-100, {"name": "/tmp/x"}], executor=executor)
    assert (bpf.data["number"], str(bpf.data["name"])) == (-100, "/tmp/x")
    bpf.programs["unlinked"].run(result=-2, executor=executor)
    assert bpf.data["result"] == -2
    bpf.programs["called"].run(args=["hello", 5], executor=executor)
    assert (str(bpf.data["name"]), bpf.data["number"]) == ("hello", 5)


@pytest.mark.parametrize("wrapped", [False, True])
def test_system_calls_have_registers_of_their_own(
    compiled: osmia.Object, executor: str, wrapped: bool
) -> None:
    target = Target.running(features={"LINUX_HAS_SYSCALL_WRAPPER": wrapped})
    with compiled.load(engine="vm", target=target) as bpf:
        opens: Any = bpf.programs["opens"]
        opens.run(args=[-100, "/etc/passwd", 64, 0o644], executor=executor)
        found = [bpf.data[name] for name in ("number", "second", "result")]
        assert (found, str(bpf.data["name"])) == ([-100, 64, 0o644], "/etc/passwd")


def test_registers_are_those_of_the_targets_machine(vm: Vm, executor: Any) -> None:
    builder = BTFBuilder()
    word = builder.add_int("unsigned long", 8)
    regs = builder.add_array(word, word, 31)
    builder.add_struct("pt_regs", 272, [("regs", regs, 0), ("sp", word, 1984)])
    vm.types = builder.build()
    program = vm.load_program(
        assemble("r0 = *(u64 *)(r1 +0)\nr2 = *(u64 *)(r1 +56)\nr0 += r2\nexit"),
        type=ProgramType.KPROBE,
    )
    assert program.run(args=[1, 0, 0, 0, 0, 0, 0, 8], executor=executor).retval == 9
    assert program.run(result=5, executor=executor).retval == 5
    with pytest.raises(ValueError, match="8 are in registers"):
        program.run(args=[0] * 9)


def test_system_calls_have_tracepoints(bpf: Any, executor: str) -> None:
    bpf.programs["enters"].run(args=[3, "/etc/passwd"], executor=executor)
    assert (bpf.data["number"], str(bpf.data["name"])) == (3, "/etc/passwd")
    bpf.programs["leaves"].run(result=-13, executor=executor)
    assert bpf.data["result"] == -13


def test_the_record_of_another_tracepoint_is_a_structure(bpf: Any, executor: str) -> None:
    record = bpf.vm.struct("trace_event_raw_sched_process_exec", pid=77)
    bpf.programs["executes"].run(ctx=record, executor=executor)
    assert bpf.data["number"] == 77
    with pytest.raises(NotSupportedError, match="sched_process_exec has a record of its own"):
        bpf.programs["executes"].run(args=[77])


def test_programs_may_only_read_structures(bpf: Any) -> None:
    with pytest.raises(ProgramFault, match="a write to struct path, which programs may only read"):
        bpf.programs["writes"].run(args=[{}])


def test_structures_hold_what_is_said(bpf: Any) -> None:
    cred = bpf.vm.struct("cred", uid=1000, gid={"val": 100})
    task = bpf.vm.struct("task_struct", cred=cred, comm="ls", pid=3)
    assert (task.pid, task["comm"], task.cred, int(task)) == (3, "ls", cred.address, task.address)
    assert (cred.uid.val, cred.gid.val) == (1000, 100)
    task.update(pid=4, comm="cat")
    task["tgid"] = 5
    assert (task.pid, task.tgid, task.comm, task.cred) == (4, 5, "cat", cred.address)
    with pytest.raises(CodecError):
        task.update(pid=9, comm="a name that is too long for it")
    assert task.pid == 4


def test_elements_are_listed(bpf: Any) -> None:
    files = [bpf.vm.struct("file", f_flags=n) for n in (1, 2)]
    table = bpf.vm.struct("fdtable", max_fds=2, fd=files)
    addresses = struct.unpack("<2Q", bpf.vm.memory.read(table.fd, 16))
    assert addresses == (files[0].address, files[1].address)


def test_memory_comes_back(bpf: Any) -> None:
    free = list(bpf.vm.memory.region._free)
    for _ in range(100):
        bpf.programs["on_open"].run(args=[{"dentry": {}}, {"f_flags": 3}])
    task = bpf.vm.struct("task_struct", real_parent={"comm": "sh"})
    address = task.real_parent
    assert bytes(bpf.vm.memory.read(address, 4)) == bytes(4)
    del task
    assert bpf.vm.memory.region._free == free


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["sh", 1, 2], "vfs_open takes 2 arguments, 3 are given"),
        ({"path": 1}, "a list of what the function is called with"),
        ([{"nothing": 1}], "nothing"),
        ([1.5], "a pointer cannot lead to 1.5"),
        ([{}, {"f_flags": "x"}], "f_flags"),
    ],
)
def test_wrong_arguments_are_refused(bpf: Any, arguments: Any, problem: str) -> None:
    with pytest.raises((ValueError, TypeError), match=problem):
        bpf.programs["on_open"].run(args=arguments)


def test_programs_of_other_types_have_no_arguments(bpf: Any) -> None:
    with pytest.raises(NotSupportedError, match="XDP programs are not called with arguments"):
        bpf.programs["packets"].run(bytes(64), args=[1])
    with pytest.raises(ValueError, match="ctx= cannot be given too"):
        bpf.programs["on_open"].run(ctx=[1], args=[1])
    with pytest.raises(CodecError, match="there is no struct 'nothing_at_all'"):
        bpf.vm.struct("nothing_at_all")
    with pytest.raises(KernelError):
        bpf.programs["on_open"].run(args=[bytes(1 << 21)])


ASKING = r"""
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

__u64 values[3];
long results[5];
char name[32];
__u32 size = 32;

static __always_inline void ask(void *ctx)
{
	results[0] = bpf_get_func_arg_cnt(ctx);
	results[1] = bpf_get_func_arg(ctx, 0, &values[0]);
	results[2] = bpf_get_func_arg(ctx, 1, &values[1]);
	results[3] = bpf_get_func_arg(ctx, 2, &values[2]);
	results[4] = bpf_get_func_ret(ctx, &values[2]);
}

SEC("fentry/vfs_open") int enters(void *ctx)
{
	ask(ctx);
	return 0;
}

SEC("fexit/vfs_open") int leaves(void *ctx)
{
	ask(ctx);
	return 0;
}

SEC("fentry/filp_close") int BPF_PROG(closes, struct file *file)
{
	results[0] = bpf_d_path(&file->f_path, name, size & 31);
	results[1] = bpf_get_func_ip(ctx);
	return 0;
}
"""


def test_programs_ask_for_arguments(executor: str) -> None:
    with osmia.compile(ASKING).load(engine="vm") as loaded:
        bpf: Any = loaded
        bpf.programs["enters"].run(args=[5, 6], executor=executor)
        assert list(bpf.data["results"]) == [2, 0, 0, -22, -95]
        assert list(bpf.data["values"]) == [5, 6, 0]
        bpf.programs["leaves"].run(args=[7, 8], result=-2, executor=executor)
        assert list(bpf.data["results"]) == [2, 0, 0, -22, 0]
        assert list(bpf.data["values"]) == [7, 8, 2**64 - 2]


def test_paths_are_names_along_dentries(executor: str) -> None:
    with osmia.compile(ASKING).load(engine="vm") as loaded:
        bpf: Any = loaded
        root = bpf.vm.struct("dentry", d_name={"name": "/"})
        root.d_parent = root
        etc = bpf.vm.struct("dentry", d_name={"name": "etc"}, d_parent=root)
        file = {"f_path": {"dentry": {"d_name": {"name": "passwd"}, "d_parent": etc}}}
        for size, result, name in ((31, 12, "/etc/passwd"), (12, 12, "/etc/passwd"), (11, -36, "")):
            bpf.data["size"], bpf.data["name"] = size, ""
            bpf.programs["closes"].run(args=[file], executor=executor)
            assert (bpf.data["results"][0], str(bpf.data["name"])) == (result, name)
