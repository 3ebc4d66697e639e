// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * A thread waits for a CPU from when it is woken, or has to leave one though it could run on, until it
 * is switched to. The tracepoints' arguments are the kernel's own pointers (tp_btf, since 5.5).
 */
#include "histogram.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

struct task_struct {
	__u32 pid;
	__u32 tgid;
	unsigned int __state;
} __attribute__((preserve_access_index));

struct task_struct___before_5_14 {
	long state;
} __attribute__((preserve_access_index));

const volatile bool by_process;
const volatile __u32 only_pid;

static int runnable(struct task_struct *task)
{
	if (task->pid && (!only_pid || task->tgid == only_pid)) /* 0 is idle */
		begin(task->pid);
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(woken, struct task_struct *task)
{
	return runnable(task);
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(made, struct task_struct *task)
{
	return runnable(task);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switched, bool preempted, struct task_struct *from, struct task_struct *to)
{
	struct task_struct___before_5_14 *old = (void *) from;
	long state = bpf_core_field_exists(from->__state) ? from->__state : old->state;

	if (preempted || !state)
		runnable(from);
	end(to->pid, by_process ? to->tgid : 0);
	return 0;
}
