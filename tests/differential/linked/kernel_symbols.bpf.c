// Kernel symbols and functions: declared by several objects, weak by some, missing ones too.
// vmlinux
//// first
extern const void bpf_prog_fops __ksym;
extern const void symbol_of_no_kernel __ksym __weak;
extern const int variable_of_no_kernel __ksym __weak;
extern void bpf_rcu_read_lock(void) __ksym __weak;
extern void bpf_rcu_read_unlock(void) __ksym;
extern void function_of_no_kernel(struct task_struct *p) __ksym __weak;
__u64 first_seen[4];
SEC("tp_btf/sched_switch") int one(__u64 *ctx)
{
	bpf_rcu_read_lock();
	first_seen[0] = (__u64)&bpf_prog_fops != 0;
	first_seen[1] = (__u64)&symbol_of_no_kernel;
	bpf_rcu_read_unlock();
	first_seen[2] = (__u64)&variable_of_no_kernel;
	if (bpf_ksym_exists(function_of_no_kernel))
		function_of_no_kernel((void *)ctx[1]);
	return 0;
}
//// second
extern const void bpf_prog_fops __ksym __weak;
extern const int variable_of_no_kernel __ksym __weak;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym __weak;
extern int another_of_no_kernel(void) __ksym __weak;
__u64 second_seen[4];
SEC("tp_btf/sched_switch") int two(__u64 *ctx)
{
	bpf_rcu_read_lock();
	second_seen[0] = (__u64)&bpf_prog_fops != 0;
	bpf_rcu_read_unlock();
	second_seen[1] = (__u64)&variable_of_no_kernel;
	if (bpf_ksym_exists(another_of_no_kernel))
		second_seen[2] = another_of_no_kernel();
	return 0;
}
