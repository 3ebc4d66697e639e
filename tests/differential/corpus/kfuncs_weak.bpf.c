// Externs: kernel functions that may be missing: called where they exist, poisoned elsewhere.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern void bpf_rcu_read_lock(void) __ksym __weak;
extern void bpf_rcu_read_unlock(void) __ksym __weak;
extern void function_of_no_kernel(struct task_struct *p) __ksym __weak;
extern int another_of_no_kernel(void) __ksym __weak;

__u64 seen;

SEC("tp_btf/sched_switch")
int maybe(__u64 *ctx)
{
	if (bpf_ksym_exists(function_of_no_kernel))
		function_of_no_kernel((void *)ctx[1]);
	if (bpf_ksym_exists(bpf_rcu_read_lock)) {
		bpf_rcu_read_lock();
		seen = ((struct task_struct *)ctx[1])->tgid;
		bpf_rcu_read_unlock();
	}
	if (bpf_ksym_exists(another_of_no_kernel))
		seen += another_of_no_kernel();
	return 0;
}
