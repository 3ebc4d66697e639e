// Externs: one kernel function under two flavours with different arguments; one of them fits.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern struct task_struct *bpf_task_acquire___one(struct task_struct *p) __ksym __weak;
extern struct task_struct *bpf_task_acquire___two(struct task_struct *p, int *flags) __ksym __weak;
extern void bpf_task_release___here(struct task_struct *p) __ksym;

__u64 seen;

SEC("tp_btf/sched_switch")
int flavoured(__u64 *ctx)
{
	struct task_struct *task = NULL;
	int flags = 0;

	if (bpf_ksym_exists(bpf_task_acquire___two))
		task = bpf_task_acquire___two((void *)ctx[1], &flags);
	else if (bpf_ksym_exists(bpf_task_acquire___one))
		task = bpf_task_acquire___one((void *)ctx[1]);
	if (task) {
		seen = task->pid;
		bpf_task_release___here(task);
	}
	return 0;
}
