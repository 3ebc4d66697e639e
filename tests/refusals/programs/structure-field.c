struct task_struct {
	int pid;
};

SEC("syscall") int program(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();

#ifdef FIXED
	char byte;

	bpf_probe_read_kernel(&byte, 1, (char *)task + 1000000);
	return byte;
#else
	return *((char *)task + 1000000);
#endif
}
