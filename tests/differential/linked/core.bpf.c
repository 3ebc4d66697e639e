// CO-RE: records of several objects, for one type and for types that only one object has.
// vmlinux
//// first
struct task_struct___future { int time_machine; } __attribute__((preserve_access_index));
__u64 first_out[4];
SEC("raw_tp/sched_switch") int one(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct___future *later = (void *)task;
	first_out[0] = BPF_CORE_READ(task, tgid);
	if (bpf_core_field_exists(later->time_machine))
		first_out[1] = BPF_CORE_READ(later, time_machine);
	first_out[2] = bpf_core_type_size(struct task_struct);
	first_out[3] = bpf_core_enum_value(enum bpf_map_type, BPF_MAP_TYPE_ARRAY);
	return 0;
}
//// second
struct of_no_kernel { __u64 field; } __attribute__((preserve_access_index));
__u64 second_out[4];
static __noinline int parent(struct task_struct *task) { return BPF_CORE_READ(task, real_parent, tgid); }
SEC("raw_tp/sched_switch") int two(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct of_no_kernel *none = (void *)ctx->args[0];
	second_out[0] = parent(task);
	if (bpf_core_type_exists(struct of_no_kernel))
		second_out[1] = BPF_CORE_READ(none, field);
	second_out[2] = bpf_core_field_offset(struct task_struct, pid);
	return 0;
}
SEC("tp_btf/sched_switch") int direct(__u64 *ctx)
{
	second_out[3] = ((struct task_struct *)ctx[1])->pid;
	return 0;
}
