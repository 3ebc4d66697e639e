struct task_struct {
	struct task_struct *last_wakee;
	int pid;
} __attribute__((preserve_access_index));
struct task_struct *bpf_task_from_pid(int pid) __ksym;
struct task_struct *bpf_task_acquire(struct task_struct *task) __ksym;
void bpf_task_release(struct task_struct *task) __ksym;

SEC("syscall") int program(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
#ifdef FIXED
	task = bpf_task_from_pid(task->last_wakee->pid);
#else
	task = bpf_task_acquire(task->last_wakee);
#endif
	if (task)
		bpf_task_release(task);
	return 0;
}
