// CO-RE: field offsets, sizes, existence, signedness and bitfields, of this kernel's types.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct task_struct___other {
	int nowhere;
	int pid;
} __attribute__((preserve_access_index));

struct thread_info___gone {
	unsigned long none;
} __attribute__((preserve_access_index));

__u64 out[16];

SEC("raw_tp/sched_switch")
int fields(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct___other *other = (void *)task;

	out[0] = BPF_CORE_READ(task, tgid);
	out[1] = BPF_CORE_READ(task, real_parent, tgid);
	out[2] = bpf_core_field_exists(task->pid);
	out[3] = bpf_core_field_exists(other->nowhere);
	out[4] = bpf_core_field_size(task->comm);
	out[5] = bpf_core_field_offset(task->comm);
	out[6] = bpf_core_type_exists(struct thread_info___gone);
	out[7] = bpf_core_type_size(struct task_struct);
	out[8] = bpf_core_enum_value_exists(enum bpf_map_type, BPF_MAP_TYPE_HASH);
	out[9] = bpf_core_enum_value(enum bpf_map_type, BPF_MAP_TYPE_LRU_HASH);
	out[10] = BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
	out[11] = bpf_core_type_id_kernel(struct sk_buff);
	out[12] = bpf_core_type_id_local(struct sk_buff);
	if (bpf_core_field_exists(other->nowhere))
		out[13] = other->nowhere;
	out[14] = bpf_core_type_matches(struct task_struct);
	return 0;
}
