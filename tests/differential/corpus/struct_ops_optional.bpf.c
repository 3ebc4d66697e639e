// struct_ops: an optional section ("?") of which the kernel has the one and not the other.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

SEC("?struct_ops") __u32 BPF_PROG(ssthresh, struct sock *sk) { return 2; }
SEC("struct_ops") __u32 BPF_PROG(undo_cwnd, struct sock *sk) { return 10; }
SEC("struct_ops") void BPF_PROG(cong_avoid, struct sock *sk, __u32 ack, __u32 acked) { }
SEC("struct_ops") __u32 BPF_PROG(other_ssthresh, struct sock *sk) { return 3; }

SEC("?.struct_ops.link")
struct tcp_congestion_ops osmia_optional = {
	.ssthresh = (void *)ssthresh,
	.undo_cwnd = (void *)undo_cwnd,
	.cong_avoid = (void *)cong_avoid,
	.name = "osmia_optional",
};

SEC(".struct_ops")
struct tcp_congestion_ops osmia_always = {
	.ssthresh = (void *)other_ssthresh,
	.undo_cwnd = (void *)undo_cwnd,
	.cong_avoid = (void *)cong_avoid,
	.name = "osmia_always",
};

__u64 seen;

SEC("xdp")
int packet(struct xdp_md *ctx)
{
	seen++;
	return XDP_PASS;
}
