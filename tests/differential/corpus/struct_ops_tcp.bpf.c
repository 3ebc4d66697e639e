// struct_ops: a TCP congestion control, registered without a link; members left out.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/ssthresh")
__u32 BPF_PROG(osmia_ssthresh, struct sock *sk)
{
	struct tcp_sock *tcp = (void *)sk;

	return tcp->snd_cwnd / 2;
}

SEC("struct_ops/undo_cwnd")
__u32 BPF_PROG(osmia_undo_cwnd, struct sock *sk)
{
	return ((struct tcp_sock *)sk)->snd_cwnd;
}

SEC("struct_ops/cong_avoid")
void BPF_PROG(osmia_cong_avoid, struct sock *sk, __u32 ack, __u32 acked)
{
}

SEC(".struct_ops")
struct tcp_congestion_ops osmia_corpus = {
	.ssthresh = (void *)osmia_ssthresh,
	.undo_cwnd = (void *)osmia_undo_cwnd,
	.cong_avoid = (void *)osmia_cong_avoid,
	.flags = 0,
	.name = "osmia_corpus",
};
