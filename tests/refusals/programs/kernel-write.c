struct task_struct {
	int pid;
} __attribute__((preserve_access_index));

SEC("syscall") int program(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();

#ifdef FIXED
	return task->pid != 0;
#else
	task->pid = 1;
	return 0;
#endif
}
