/* Counts packets by protocol: maps, sections, byte order in case labels, printk of all sizes. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct counters {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct counters);
} by_protocol SEC(".maps");

/* Constants also where the language wants constants. */
const volatile __be16 watched_port = bpf_htons(443);
__be32 loopback = bpf_htonl(INADDR_LOOPBACK);
__u64 big = bpf_cpu_to_be64(0x0102030405060708ull);
__u64 unknown;

static __always_inline void count(__u32 protocol, __u64 bytes)
{
	struct counters *entry = bpf_map_lookup_elem(&by_protocol, &protocol);

	if (entry) {
		entry->packets++;
		entry->bytes += bytes;
	}
}

SEC("xdp")
int count_packets(struct xdp_md *ctx)
{
	void *data = (void *) (long) ctx->data;
	void *end = (void *) (long) ctx->data_end;
	struct ethhdr *ethernet = data;
	struct iphdr *ip = (void *) (ethernet + 1);

	if ((void *) (ethernet + 1) > end)
		return XDP_DROP;
	switch (ethernet->h_proto) {
	case bpf_htons(ETH_P_IP):
		if ((void *) (ip + 1) > end)
			return XDP_DROP;
		count(ip->protocol, end - data);
		break;
	case bpf_htons(ETH_P_IPV6):
	case __bpf_constant_htons(ETH_P_ARP):
		count(0, end - data);
		break;
	default:
		__sync_fetch_and_add(&unknown, 1);
		bpf_printk("nothing known");
		bpf_printk("protocol %x", bpf_ntohs(ethernet->h_proto));
		bpf_printk("%d %d %d", 1, 2, 3);
		bpf_printk("%d %s %d %d %llx", 1, "two", 3, 4, bpf_be64_to_cpu(big));
		bpf_printk("%d%d%d%d%d%d%d%d%d%d%d%d", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
	}
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
