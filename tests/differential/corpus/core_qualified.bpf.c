// CO-RE through typedefs, const, volatile and pointers to pointers.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

typedef struct {
	int counter;
} __attribute__((preserve_access_index)) atomic_t___mine;

struct mm_struct___part {
	atomic_t___mine mm_users;
} __attribute__((preserve_access_index));

__u64 out[6];

SEC("raw_tp/sched_switch")
int qualified(void *ctx)
{
	const struct task_struct *task = (void *)bpf_get_current_task();
	volatile const struct task_struct *other = task;

	out[0] = BPF_CORE_READ(task, start_time);
	out[1] = bpf_core_field_offset(other->exit_code);
	out[2] = bpf_core_field_exists(struct mm_struct___part, mm_users.counter);
	out[3] = bpf_core_field_size(refcount_t, refs);
	out[4] = bpf_core_field_offset(struct task_struct, thread_pid);
	return 0;
}
