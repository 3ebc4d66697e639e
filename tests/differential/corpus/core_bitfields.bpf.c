// CO-RE: bitfields, signed and unsigned, read with and without a helper, and written.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct task_struct___bits {
	unsigned in_iowait : 1;
	unsigned no_cgroup_migration : 1;
	unsigned sched_reset_on_fork : 1;
} __attribute__((preserve_access_index));

__u64 seen[8];

SEC("tp_btf/sched_switch")
int direct(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[1];

	seen[0] = BPF_CORE_READ_BITFIELD(task, sched_reset_on_fork);
	seen[1] = BPF_CORE_READ_BITFIELD(task, in_iowait);
	seen[2] = BPF_CORE_READ_BITFIELD(task, exit_code);
	return 0;
}

SEC("raw_tp/sched_switch")
int probed(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct___bits *bits = (void *)task;

	seen[3] = BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
	seen[4] = BPF_CORE_READ_BITFIELD_PROBED(bits, no_cgroup_migration);
	seen[5] = BPF_CORE_READ_BITFIELD_PROBED(bits, in_iowait);
	return 0;
}

SEC("socket")
int packet(struct __sk_buff *ctx)
{
	return 0;
}
