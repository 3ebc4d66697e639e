struct task_struct {
	int pid;
} __attribute__((preserve_access_index));

SEC("tracepoint/syscalls/sys_enter_openat") int program(void *ctx)
{
#ifdef FIXED
	struct task_struct *task = bpf_get_current_task_btf();
#else
	struct task_struct *task = (void *)bpf_get_current_task();
#endif
	return task->pid;
}
