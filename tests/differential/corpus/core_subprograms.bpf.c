// CO-RE in static and global subprograms that several programs share.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

__u64 total;

static __noinline __u64 parent_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, real_parent, tgid);
}

__noinline int depth(__u64 address)
{
	struct task_struct *task = (void *)address;
	int level = 0;

	for (int i = 0; i < 8; i++) {
		if (parent_of(task) <= 1)
			break;
		task = BPF_CORE_READ(task, real_parent);
		level++;
	}
	return level;
}

static __noinline void add(__u64 value)
{
	total += value;
}

SEC("raw_tp/sched_switch")
int first(void *ctx)
{
	add(depth(bpf_get_current_task()));
	return 0;
}

SEC("raw_tp/sched_wakeup")
int second(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	add(parent_of(task));
	return depth((__u64)task) > 4;
}
