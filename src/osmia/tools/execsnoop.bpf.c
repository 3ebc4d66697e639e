// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* A program was executed: its arguments are on its stack, one behind the other, already. */
#include "stream.bpf.h"
#include <bpf/bpf_core_read.h>

/* What is needed of the kernel's types; where it is in the kernel at hand, CO-RE finds out. */
struct mm_struct {
	unsigned long arg_start, arg_end;
} __attribute__((preserve_access_index));

struct task_struct {
	__u32 tgid;
	struct task_struct *real_parent;
	struct mm_struct *mm;
} __attribute__((preserve_access_index));

struct executed {
	__u32 pid;
	__u32 parent;
	__u32 uid;
	__u32 size; /* of all arguments */
	char process[16];
	__u8 arguments[1024]; /* each with a zero behind it */
};

EVENTS_ARE(struct executed);

const volatile __u32 only_parent;
const volatile __u32 only_uid = -1;

SEC("tp/sched/sched_process_exec")
int executed(void *ctx)
{
	struct task_struct *task = (void *) bpf_get_current_task();
	__u32 parent = BPF_CORE_READ(task, real_parent, tgid);
	__u32 uid = bpf_get_current_uid_gid();

	if ((only_parent && parent != only_parent) || (only_uid != -1 && uid != only_uid))
		return 0;
	struct executed *event = NEW_EVENT(struct executed);
	if (!event)
		return 0;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->parent = parent;
	event->uid = uid;
	bpf_get_current_comm(event->process, sizeof(event->process));

	unsigned long start = BPF_CORE_READ(task, mm, arg_start);
	unsigned long size = BPF_CORE_READ(task, mm, arg_end) - start;
	event->size = size;
	if (size > sizeof(event->arguments))
		size = sizeof(event->arguments);
	if (bpf_probe_read_user(event->arguments, size, (void *) start))
		event->size = 0;
	bpf_ringbuf_submit(event, 0);
	return 0;
}
