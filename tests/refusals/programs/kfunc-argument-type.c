// since: 6.2
struct task_struct {
	int pid;
} __attribute__((preserve_access_index));
struct task_struct *bpf_task_acquire(struct task_struct *task) __ksym;
void bpf_task_release(struct task_struct *task) __ksym;

SEC("syscall") int program(void *ctx)
{
	__u64 local[16] = {};
#ifdef FIXED
	struct task_struct *task = bpf_task_acquire(bpf_get_current_task_btf());
#else
	struct task_struct *task = bpf_task_acquire((void *)local);
#endif
	if (task)
		bpf_task_release(task);
	return 0;
}
