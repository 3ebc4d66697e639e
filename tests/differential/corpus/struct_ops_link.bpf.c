// struct_ops: two with a link, one optional that no kernel has, flavours and members of our own.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

struct tcp_congestion_ops___ours {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
	void (*of_no_kernel)(void);
};

struct ops_of_no_kernel {
	int (*call)(void);
};

SEC("struct_ops") __u32 BPF_PROG(ssthresh, struct sock *sk) { return 2; }
SEC("struct_ops") __u32 BPF_PROG(undo_cwnd, struct sock *sk) { return 10; }
SEC("struct_ops") void BPF_PROG(cong_avoid, struct sock *sk, __u32 ack, __u32 acked) { }

SEC(".struct_ops.link")
struct tcp_congestion_ops___ours osmia_first = {
	.ssthresh = (void *)ssthresh,
	.undo_cwnd = (void *)undo_cwnd,
	.cong_avoid = (void *)cong_avoid,
	.name = "osmia_first",
};

SEC(".struct_ops.link")
struct tcp_congestion_ops osmia_second = {
	.ssthresh = (void *)ssthresh,
	.undo_cwnd = (void *)undo_cwnd,
	.cong_avoid = (void *)cong_avoid,
	.name = "osmia_second",
};
