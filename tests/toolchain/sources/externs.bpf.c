/* What the loader fills in: kernel configuration, symbols, kfuncs. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

extern int LINUX_KERNEL_VERSION __kconfig;
extern unsigned long CONFIG_HZ __kconfig __weak;
extern enum libbpf_tristate CONFIG_BPF_SYSCALL __kconfig __weak;
extern bool CONFIG_NO_SUCH_OPTION __kconfig __weak;
extern char CONFIG_NO_SUCH_TEXT[16] __kconfig __weak;

extern const void init_task __ksym __weak;
extern void bpf_no_such_kfunc(int x) __ksym __weak;
extern struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym __weak;
extern void bpf_task_release(struct task_struct *p) __ksym __weak;

u64 version, hz, symbol, text;
int syscall_enabled, missing;

SEC("tp_btf/sched_switch")
int BPF_PROG(look, bool preempt, struct task_struct *previous, struct task_struct *next)
{
	struct task_struct *owned;

	version = LINUX_KERNEL_VERSION >= KERNEL_VERSION(5, 8, 300);
	hz = CONFIG_HZ;
	syscall_enabled = CONFIG_BPF_SYSCALL == TRI_YES;
	missing = CONFIG_NO_SUCH_OPTION;
	text = CONFIG_NO_SUCH_TEXT[0];
	symbol = (u64) &init_task;
	if (bpf_ksym_exists(bpf_no_such_kfunc))
		bpf_no_such_kfunc(1);
	if (bpf_ksym_exists(bpf_task_acquire)) {
		owned = bpf_task_acquire(next);
		if (owned)
			bpf_task_release(owned);
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
