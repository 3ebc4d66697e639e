// Sockets: redirection through sock maps, parsers and verdicts, control of connects.
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct tuple { __u32 remote, local; __u32 remote_port, local_port; };

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 65535);
	__type(key, struct tuple);
	__type(value, __u64);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, __u64);
	__type(value, __u32);
} redirects SEC(".maps");

static __always_inline void tuple_of(struct bpf_sock_ops *ops, struct tuple *tuple)
{
	tuple->remote = ops->remote_ip4;
	tuple->local = ops->local_ip4;
	tuple->remote_port = ops->remote_port;
	tuple->local_port = ops->local_port;
}

SEC("sockops")
int established(struct bpf_sock_ops *ops)
{
	struct tuple tuple;

	if (ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB ||
	    ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB) {
		tuple_of(ops, &tuple);
		bpf_sock_hash_update(ops, &sockets, &tuple, BPF_NOEXIST);
	}
	return 1;
}

SEC("sk_msg")
int message(struct sk_msg_md *msg)
{
	struct tuple tuple = {
		.remote = msg->local_ip4, .local = msg->remote_ip4,
		.remote_port = bpf_htonl(msg->local_port), .local_port = bpf_ntohl(msg->remote_port),
	};

	bpf_msg_redirect_hash(msg, &sockets, &tuple, BPF_F_INGRESS);
	return SK_PASS;
}

SEC("sk_skb/stream_verdict")
int verdict(struct __sk_buff *skb)
{
	return skb->len > 100000 ? SK_DROP : SK_PASS;
}

SEC("cgroup/connect4")
int connect(struct bpf_sock_addr *ctx)
{
	__u64 key = (__u64)ctx->user_ip4 << 16 | (ctx->user_port & 0xffff);
	__u32 *to = bpf_map_lookup_elem(&redirects, &key);

	if (to)
		ctx->user_ip4 = *to;
	return 1;
}
