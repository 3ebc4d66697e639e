void bpf_preempt_disable(void) __ksym;
void bpf_preempt_enable(void) __ksym;

SEC("tc") int program(struct __sk_buff *ctx)
{
	bpf_preempt_disable();
#ifdef FIXED
	bpf_preempt_enable();
#endif
	return 0;
}
