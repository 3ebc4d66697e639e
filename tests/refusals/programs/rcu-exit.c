void bpf_rcu_read_lock(void) __ksym;
void bpf_rcu_read_unlock(void) __ksym;

SEC("tc") int program(struct __sk_buff *ctx)
{
	bpf_rcu_read_lock();
#ifdef FIXED
	bpf_rcu_read_unlock();
#endif
	return 0;
}
