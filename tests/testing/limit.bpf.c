/* limit.bpf.c: so many IPv4 packets of a source, then no more. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

const volatile __u64 limit = 100;
__u64 dropped;

struct source {
	__u64 packets;
	__u64 last;	/* ns */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct source);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} sources SEC(".maps");

static int over(__u32 key)
{
	struct source first = {}, *known = bpf_map_lookup_elem(&sources, &key);

	if (!known) {
		first.packets = 1;
		first.last = bpf_ktime_get_ns();
		bpf_map_update_elem(&sources, &key, &first, BPF_ANY);
		return limit < 1;
	}
	known->last = bpf_ktime_get_ns();
	return __sync_fetch_and_add(&known->packets, 1) >= limit;
}

SEC("xdp")
int ingress(struct xdp_md *ctx)
{
	struct ethhdr *ethernet = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(ethernet + 1);

	if ((void *)(ip + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	if (ethernet->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if (over(ip->saddr)) {
		__sync_fetch_and_add(&dropped, 1);
		return XDP_DROP;
	}
	return XDP_PASS;
}

/* Wrong on purpose: it looks behind the packet. */
SEC("?xdp")
int careless(struct xdp_md *ctx)
{
	return ((__u8 *)(long)ctx->data)[100];
}

char LICENSE[] SEC("license") = "GPL";
