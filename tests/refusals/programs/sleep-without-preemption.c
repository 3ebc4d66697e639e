void bpf_preempt_disable(void) __ksym;
void bpf_preempt_enable(void) __ksym;

SEC("syscall") int program(void *ctx)
{
	char byte;

	bpf_preempt_disable();
#ifdef FIXED
	bpf_preempt_enable();
	bpf_copy_from_user(&byte, 1, (void *)8);
#else
	bpf_copy_from_user(&byte, 1, (void *)8);
	bpf_preempt_enable();
#endif
	return 0;
}
