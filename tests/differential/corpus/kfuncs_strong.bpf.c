// Externs: kernel functions that must be there.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

__u64 seen;

SEC("tp_btf/sched_switch")
int acquire(__u64 *ctx)
{
	struct task_struct *task = bpf_task_acquire((void *)ctx[1]);

	if (task) {
		seen = task->pid;
		bpf_task_release(task);
	}
	return 0;
}

SEC("tp_btf/sched_wakeup")
int locked(__u64 *ctx)
{
	bpf_rcu_read_lock();
	seen++;
	bpf_rcu_read_unlock();
	return 0;
}
