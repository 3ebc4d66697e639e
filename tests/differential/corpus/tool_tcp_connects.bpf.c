// A tool: TCP connections as they change state, both families, from the sock tracepoint.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

#define AF_INET 2
#define AF_INET6 10

struct event {
	__u8 source[16], destination[16];
	__u16 family, source_port, destination_port;
	int old_state, new_state;
	__u64 delta, received, acked;
	__u32 rtt, cwnd;
};

const volatile __u16 ports[4] = {};
const volatile int port_count = 0;

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct sock *);
	__type(value, __u64);
} timestamps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

static bool port_wanted(__u16 port)
{
	if (!port_count)
		return true;
	for (int i = 0; i < 4; i++)
		if (i < port_count && ports[i] == port)
			return true;
	return false;
}

SEC("tracepoint/sock/inet_sock_set_state")
int state_changed(struct trace_event_raw_inet_sock_set_state *ctx)
{
	struct sock *sk = (struct sock *)ctx->skaddr;
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	__u64 now = bpf_ktime_get_ns(), *before;
	struct event *event;

	if (ctx->protocol != IPPROTO_TCP || !port_wanted(ctx->dport))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return 0;
	before = bpf_map_lookup_elem(&timestamps, &sk);
	event->delta = before ? now - *before : 0;
	event->family = ctx->family;
	event->source_port = ctx->sport;
	event->destination_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	event->old_state = ctx->oldstate;
	event->new_state = ctx->newstate;
	event->received = BPF_CORE_READ(tcp, bytes_received);
	event->acked = BPF_CORE_READ(tcp, bytes_acked);
	event->rtt = BPF_CORE_READ(tcp, srtt_us) >> 3;
	event->cwnd = BPF_CORE_READ(tcp, snd_cwnd);
	if (event->family == AF_INET) {
		BPF_CORE_READ_INTO(&event->source, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO(&event->destination, sk, __sk_common.skc_daddr);
	} else if (event->family == AF_INET6) {
		BPF_CORE_READ_INTO(&event->source, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32);
		BPF_CORE_READ_INTO(&event->destination, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32);
	}
	bpf_ringbuf_submit(event, 0);
	if (ctx->newstate == TCP_CLOSE)
		bpf_map_delete_elem(&timestamps, &sk);
	else
		bpf_map_update_elem(&timestamps, &sk, &now, BPF_ANY);
	return 0;
}
