/* Each IPv4 source may send so many packets a second; the others are dropped, and told of. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define SECOND 1000000000ULL

const volatile __u64 limit = 100; /* packets a second */

struct window {
	__u64 start; /* ns */
	__u64 packets;
};

struct refusal {
	__be32 source;
	__u32 packets;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __be32);
	__type(value, struct window);
} windows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
	__type(value, struct refusal);
} refusals SEC(".maps");

SEC("xdp")
int limiter(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(ethernet + 1);
	struct window fresh = { .packets = 1 }, *window;
	struct refusal refusal;
	__be32 source;

	if ((void *)(ethernet + 1) > end)
		return XDP_DROP;
	if (ethernet->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if ((void *)(ip + 1) > end)
		return XDP_DROP;
	source = ip->saddr;
	fresh.start = bpf_ktime_get_ns();
	window = bpf_map_lookup_elem(&windows, &source);
	if (!window || fresh.start - window->start >= SECOND) {
		bpf_map_update_elem(&windows, &source, &fresh, BPF_ANY);
		return XDP_PASS;
	}
	if (__sync_fetch_and_add(&window->packets, 1) < limit)
		return XDP_PASS;
	refusal.source = source;
	refusal.packets = window->packets;
	bpf_ringbuf_output(&refusals, &refusal, sizeof(refusal), 0);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
