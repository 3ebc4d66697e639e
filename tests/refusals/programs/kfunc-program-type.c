struct task_struct {
	int pid;
} __attribute__((preserve_access_index));
struct task_struct *bpf_task_from_pid(int pid) __ksym;
void bpf_task_release(struct task_struct *task) __ksym;

#ifdef FIXED
SEC("syscall")
#else
SEC("socket")
#endif
int program(void *ctx)
{
	struct task_struct *task = bpf_task_from_pid(1);

	if (task)
		bpf_task_release(task);
	return 0;
}
