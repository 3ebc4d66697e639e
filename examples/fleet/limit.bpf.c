// The program of examples/fleet: counts UDP packets by source, and drops those above a limit.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __be32);
	__type(value, __u64);
} sources SEC(".maps");

struct drop {
	__u64 seen_ns;
	__be32 source;
	__u32 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
	__type(value, struct drop);
} drops SEC(".maps");

#ifndef ABOVE_LIMIT
#define ABOVE_LIMIT XDP_DROP
#endif

__u64 limit = 100;
__u64 seen;
__u64 dropped;

SEC("xdp")
int ingress(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	struct iphdr *ip = (void *)(ethernet + 1);
	__u64 one = 1, *packets;
	struct drop drop = {};

	if ((void *)(ip + 1) > end || ethernet->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if (ip->protocol != IPPROTO_UDP) // the fleet itself speaks TCP
		return XDP_PASS;
	__sync_fetch_and_add(&seen, 1);
	packets = bpf_map_lookup_elem(&sources, &ip->saddr);
	if (!packets) {
		bpf_map_update_elem(&sources, &ip->saddr, &one, BPF_ANY);
		return XDP_PASS;
	}
	if (__sync_fetch_and_add(packets, 1) < limit)
		return XDP_PASS;
	__sync_fetch_and_add(&dropped, 1);
	drop.seen_ns = bpf_ktime_get_ns();
	drop.source = ip->saddr;
	drop.bytes = end - data;
	bpf_ringbuf_output(&drops, &drop, sizeof(drop), 0);
	return ABOVE_LIMIT;
}

char LICENSE[] SEC("license") = "GPL";
