// since: 6.2
struct task_struct {
	int pid;
} __attribute__((preserve_access_index));
struct task_struct *bpf_task_from_pid(int pid) __ksym;
void bpf_task_release(struct task_struct *task) __ksym;

SEC("syscall") int program(void *ctx)
{
	struct task_struct *task = bpf_task_from_pid(1);

	if (!task)
		return 0;
	bpf_task_release(task);
#ifndef FIXED
	bpf_task_release(task);
#endif
	return 0;
}
