// since: 6.2
struct task_struct {
	int pid;
} __attribute__((preserve_access_index));
struct task_struct *bpf_task_from_pid(int pid) __ksym;
void bpf_task_release(struct task_struct *task) __ksym;

struct kept {
	__u64 number;
	struct task_struct __kptr *task;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kept);
} tasks SEC(".maps");

SEC("syscall") int program(void *ctx)
{
	__u32 key = 0;
	struct kept *kept = bpf_map_lookup_elem(&tasks, &key);
	struct task_struct *task;

	if (!kept)
		return 0;
	task = bpf_task_from_pid(1);
	if (!task)
		return 0;
#ifdef FIXED
	task = bpf_kptr_xchg(&kept->task, task);
#else
	task = bpf_kptr_xchg(&kept->number, task);
#endif
	if (task)
		bpf_task_release(task);
	return 0;
}
