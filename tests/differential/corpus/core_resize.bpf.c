// CO-RE: fields of other sizes than the kernel's: loads and stores change their width.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct sk_buff___wide {
	unsigned long long len;		/* 4 bytes in the kernel */
	unsigned char mac_len;		/* 2 bytes */
	unsigned int queue_mapping;	/* 2 bytes */
} __attribute__((preserve_access_index));

struct task_struct___narrow {
	unsigned short flags;		/* 4 bytes */
	unsigned char utime;		/* 8 bytes */
} __attribute__((preserve_access_index));

/* A signed number cannot be widened by a load: poisoned, and unreachable. */
struct task_struct___signed {
	long long pid;
} __attribute__((preserve_access_index));

__u64 out[8];
const volatile bool never = false;

SEC("tp_btf/kfree_skb")
int resized(__u64 *ctx)
{
	struct sk_buff___wide *skb = (void *)ctx[0];

	out[0] = skb->len;
	out[1] = skb->mac_len;
	out[2] = skb->queue_mapping;
	return 0;
}

SEC("tp_btf/sched_switch")
int tasks(__u64 *ctx)
{
	struct task_struct___narrow *task = (void *)ctx[1];
	struct task_struct___signed *wide = (void *)ctx[1];

	out[3] = task->flags;
	out[4] = task->utime;
	if (never)
		out[5] = wide->pid;
	return 0;
}
