void bpf_local_irq_save(unsigned long *flags) __ksym;
void bpf_local_irq_restore(unsigned long *flags) __ksym;

SEC("tc") int program(struct __sk_buff *ctx)
{
	unsigned long flags;

	bpf_local_irq_save(&flags);
#ifdef FIXED
	bpf_local_irq_restore(&flags);
#endif
	return 0;
}
