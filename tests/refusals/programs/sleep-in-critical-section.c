void bpf_rcu_read_lock(void) __ksym;
void bpf_rcu_read_unlock(void) __ksym;

SEC("syscall") int program(void *ctx)
{
	char byte;

	bpf_rcu_read_lock();
#ifdef FIXED
	bpf_rcu_read_unlock();
	bpf_copy_from_user(&byte, 1, (void *)8);
#else
	bpf_copy_from_user(&byte, 1, (void *)8);
	bpf_rcu_read_unlock();
#endif
	return 0;
}
