// CO-RE: relocations that fail where the verifier never comes: poisoned, and loaded all the same.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct task_struct___future {
	int time_machine;
	struct {
		int year;
	} destination;
} __attribute__((preserve_access_index));

struct of_no_kernel {
	__u64 field;
	int bits : 5;
} __attribute__((preserve_access_index));

enum of_no_kernel_either { FAR = 1ULL << 35 };

__u64 out[8];

SEC("raw_tp/sched_switch")
int guarded(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct___future *task = (void *)bpf_get_current_task();
	struct of_no_kernel *none = (void *)ctx->args[0];

	if (bpf_core_field_exists(task->time_machine))
		out[0] = BPF_CORE_READ(task, time_machine);
	if (bpf_core_field_exists(task->destination.year))
		out[1] = bpf_core_field_offset(task->destination.year);
	if (bpf_core_type_exists(struct of_no_kernel)) {
		out[2] = BPF_CORE_READ(none, field);
		out[3] = BPF_CORE_READ_BITFIELD_PROBED(none, bits);
	}
	if (bpf_core_enum_value_exists(enum of_no_kernel_either, FAR))
		out[4] = bpf_core_enum_value(enum of_no_kernel_either, FAR);
	out[5] = bpf_core_type_size(struct of_no_kernel);
	out[6] = bpf_core_type_id_kernel(struct of_no_kernel);
	return 0;
}

SEC("tp_btf/sched_switch")
int direct(__u64 *ctx)
{
	struct task_struct___future *task = (void *)ctx[1];

	if (bpf_core_field_exists(task->time_machine)) {
		out[7] = task->time_machine;
		task->time_machine = 3;
	}
	return 0;
}
