// A tool: processes as they start and end, with parents, groups, exit codes; fifty relocations.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

struct event {
	__u32 pid, parent, uid, gid, session;
	int exit_code, prio, policy, cpu;
	__u64 start, runtime, utime, stime, vsize, switches;
	__u64 cgroup, pid_ns, net_ns, uts_ns, faults[2], file_inode, umask, brk, stack, threads;
	char command[16], parent_command[16], node[65];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

const volatile __u32 only_uid = ~0u;

static __noinline void describe(struct task_struct *task, struct event *event)
{
	event->pid = BPF_CORE_READ(task, tgid);
	event->parent = BPF_CORE_READ(task, real_parent, tgid);
	event->uid = BPF_CORE_READ(task, cred, uid.val);
	event->gid = BPF_CORE_READ(task, cred, gid.val);
	event->session = BPF_CORE_READ(task, signal, pids[PIDTYPE_SID], numbers[0].nr);
	event->exit_code = BPF_CORE_READ(task, exit_code);
	event->prio = BPF_CORE_READ(task, static_prio);
	event->policy = BPF_CORE_READ(task, policy);
	event->cpu = BPF_CORE_READ(task, recent_used_cpu);
	event->start = BPF_CORE_READ(task, start_boottime);
	event->runtime = BPF_CORE_READ(task, se.sum_exec_runtime);
	event->utime = BPF_CORE_READ(task, utime);
	event->stime = BPF_CORE_READ(task, stime);
	event->vsize = BPF_CORE_READ(task, mm, total_vm);
	event->switches = BPF_CORE_READ(task, nvcsw) + BPF_CORE_READ(task, nivcsw);
	event->cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	event->pid_ns = BPF_CORE_READ(task, nsproxy, pid_ns_for_children, ns.inum);
	event->net_ns = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	event->uts_ns = BPF_CORE_READ(task, nsproxy, uts_ns, ns.inum);
	event->faults[0] = BPF_CORE_READ(task, min_flt);
	event->faults[1] = BPF_CORE_READ(task, maj_flt);
	event->file_inode = BPF_CORE_READ(task, mm, exe_file, f_inode, i_ino);
	event->umask = BPF_CORE_READ(task, fs, umask);
	event->brk = BPF_CORE_READ(task, mm, brk);
	event->stack = BPF_CORE_READ(task, mm, start_stack);
	event->threads = BPF_CORE_READ(task, signal, nr_threads);
	BPF_CORE_READ_STR_INTO(&event->command, task, comm);
	BPF_CORE_READ_STR_INTO(&event->parent_command, task, real_parent, comm);
	BPF_CORE_READ_STR_INTO(&event->node, task, nsproxy, uts_ns, name.nodename);
}

static __always_inline int emit(struct task_struct *task)
{
	struct event *event;

	if (only_uid != ~0u && BPF_CORE_READ(task, cred, uid.val) != only_uid)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return 0;
	describe(task, event);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(started, struct task_struct *task, pid_t old, struct linux_binprm *binary)
{
	return emit(task);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(ended, struct task_struct *task)
{
	return emit(task);
}
