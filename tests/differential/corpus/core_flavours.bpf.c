// CO-RE: flavours of one type. The state of a task was renamed in 5.14; both are asked for.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct task_struct___before_5_14 {
	volatile long state;
} __attribute__((preserve_access_index));

struct task_struct___since_5_14 {
	unsigned int __state;
} __attribute__((preserve_access_index));

struct task_struct___of_mine {
	int tgid;
} __attribute__((preserve_access_index));

long states[3];

static __always_inline long state_of(void *task)
{
	struct task_struct___since_5_14 *now = task;
	struct task_struct___before_5_14 *then = task;

	if (bpf_core_field_exists(now->__state))
		return BPF_CORE_READ(now, __state);
	return BPF_CORE_READ(then, state);
}

SEC("raw_tp/sched_switch")
int switched(void *ctx)
{
	void *task = (void *)bpf_get_current_task();
	struct task_struct___of_mine *mine = task;

	states[0] = state_of(task);
	states[1] = BPF_CORE_READ(mine, tgid);
	states[2] = bpf_core_type_exists(struct task_struct___before_5_14);
	return 0;
}
