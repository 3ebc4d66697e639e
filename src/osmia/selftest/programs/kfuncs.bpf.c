/* Functions of the kernel, found by name and type when the object is loaded. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

extern struct task_struct *bpf_task_from_pid(s32 pid) __ksym;
extern void bpf_task_release(struct task_struct *task) __ksym;
extern void bpf_never_heard_of(void) __ksym __weak;

int found;

SEC("tp_btf/task_newtask") int BPF_PROG(kernel_functions, struct task_struct *child)
{
	struct task_struct *task;

	if (bpf_never_heard_of)
		bpf_never_heard_of();
	task = bpf_task_from_pid(child->tgid);
	if (task) {
		found = task->tgid == child->tgid;
		bpf_task_release(task);
	}
	return 0;
}
