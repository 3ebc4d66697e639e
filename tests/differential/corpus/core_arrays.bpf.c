// CO-RE: elements of arrays, of structs in arrays, of the flexible array at a struct's end.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct task_struct___short {
	char comm[4];
} __attribute__((preserve_access_index));

__u64 out[12];

SEC("raw_tp/sched_switch")
int arrays(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct___short *other = (void *)task;
	struct cgroup *cgroup = ctx;
	struct sk_buff *skb = ctx;

	out[0] = BPF_CORE_READ(task, comm[3]);
	out[1] = BPF_CORE_READ(task, signal, rlim[7].rlim_cur);
	out[2] = BPF_CORE_READ(task, cgroups, subsys[2]) != 0;
	out[3] = bpf_core_field_size(task->comm);
	out[4] = bpf_core_field_size(other->comm);
	out[5] = bpf_core_field_size(task->signal->rlim[1]);
	out[6] = bpf_core_field_offset(cgroup->ancestors[3]);
	out[7] = bpf_core_field_exists(cgroup->ancestors[5]);
	out[8] = bpf_core_field_exists(task->comm[2]);
	out[9] = bpf_core_field_offset(skb->cb[40]);
	return 0;
}

SEC("raw_tp/sched_wakeup")
int elements(void *ctx)
{
	struct task_struct *tasks = (void *)bpf_get_current_task();

	out[10] = bpf_core_field_offset(tasks[2].pid);
	out[11] = bpf_core_field_offset((&tasks[1])->se.vruntime);
	return 0;
}
