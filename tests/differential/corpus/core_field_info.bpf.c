// CO-RE: every question about one field: offset, size, existence, sign, both shifts.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

#define ASK(field, base)                                                           \
	answers[base + 0] = __builtin_preserve_field_info(field, BPF_FIELD_BYTE_OFFSET); \
	answers[base + 1] = __builtin_preserve_field_info(field, BPF_FIELD_BYTE_SIZE);   \
	answers[base + 2] = __builtin_preserve_field_info(field, BPF_FIELD_EXISTS);      \
	answers[base + 3] = __builtin_preserve_field_info(field, BPF_FIELD_SIGNED);      \
	answers[base + 4] = __builtin_preserve_field_info(field, BPF_FIELD_LSHIFT_U64);  \
	answers[base + 5] = __builtin_preserve_field_info(field, BPF_FIELD_RSHIFT_U64);

__u32 answers[64];

SEC("raw_tp/sched_switch")
int ask(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct sk_buff *skb = ctx;
	struct tcp_sock *tcp = ctx;
	struct inode *inode = ctx;

	ASK(task->pid, 0)
	ASK(task->prio, 6)
	ASK(task->in_execve, 12)
	ASK(skb->pkt_type, 18)
	ASK(tcp->nonagle, 30)
	ASK(inode->i_mode, 36)
	ASK(task->se.vruntime, 42)
	ASK(skb->len, 48)
	return 0;
}
