// struct_ops of two objects in one section, and one of another kind; a subprogram of a third.
// vmlinux
//// first
extern __u32 halved(struct tcp_sock *tcp);
SEC("struct_ops/ssthresh") __u32 BPF_PROG(first_ssthresh, struct sock *sk)
{ return halved((void *)sk); }
SEC("struct_ops/undo_cwnd") __u32 BPF_PROG(first_undo, struct sock *sk)
{ return ((struct tcp_sock *)sk)->snd_cwnd; }
SEC("struct_ops/cong_avoid") void BPF_PROG(first_avoid, struct sock *sk, __u32 ack, __u32 acked) {}
SEC(".struct_ops") struct tcp_congestion_ops first_ops = {
	.ssthresh = (void *)first_ssthresh, .undo_cwnd = (void *)first_undo,
	.cong_avoid = (void *)first_avoid, .name = "linked_first",
};
//// second
extern __u32 halved(struct tcp_sock *tcp);
SEC("struct_ops/ssthresh") __u32 BPF_PROG(second_ssthresh, struct sock *sk)
{ return halved((void *)sk) + 1; }
SEC("struct_ops/undo_cwnd") __u32 BPF_PROG(second_undo, struct sock *sk)
{ return ((struct tcp_sock *)sk)->snd_cwnd + 1; }
SEC("struct_ops/cong_avoid") void BPF_PROG(second_avoid, struct sock *sk, __u32 ack, __u32 acked) {}
SEC(".struct_ops") struct tcp_congestion_ops second_ops = {
	.ssthresh = (void *)second_ssthresh, .undo_cwnd = (void *)second_undo,
	.cong_avoid = (void *)second_avoid, .flags = 4, .name = "linked_second",
};
//// third
__hidden __u32 halved(struct tcp_sock *tcp) { return tcp->snd_cwnd / 2; }
int second_undo(unsigned long long *ctx);
SEC(".struct_ops.link") struct tcp_congestion_ops third_ops = {
	.undo_cwnd = (void *)second_undo, .name = "linked_third" };
