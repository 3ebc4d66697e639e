// A packet filter in XDP: prefixes of both families, ports, counters per rule and CPU.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct prefix4 { __u32 length; __u8 address[4]; };
struct prefix6 { __u32 length; __u8 address[16]; };
struct rule { __u32 id; __u32 verdict; };
struct counter { __u64 packets, bytes; };

#define PREFIXES(name, kind)                               \
	struct {                                           \
		__uint(type, BPF_MAP_TYPE_LPM_TRIE);       \
		__uint(max_entries, 10000);                \
		__uint(map_flags, BPF_F_NO_PREALLOC);      \
		__type(key, kind);                         \
		__type(value, struct rule);                \
	} name SEC(".maps")

PREFIXES(sources4, struct prefix4);
PREFIXES(sources6, struct prefix6);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u16);
	__type(value, struct rule);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct counter);
} counters SEC(".maps");

const volatile __u32 default_verdict = XDP_PASS;
const volatile __u8 filter_ports = 1;

static __always_inline int judged(const struct rule *rule, __u32 bytes)
{
	__u32 id = rule ? rule->id : 0;
	struct counter *counter = bpf_map_lookup_elem(&counters, &id);

	if (counter) {
		counter->packets++;
		counter->bytes += bytes;
	}
	return rule ? rule->verdict : default_verdict;
}

static __noinline int by_port(void *transport, void *end, __u8 protocol, __u32 bytes)
{
	__u16 *words = transport, port;
	struct rule *rule;

	if (!filter_ports || (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP))
		return judged(0, bytes);
	if ((void *)(words + 2) > end)
		return XDP_DROP;
	port = bpf_ntohs(words[1]);
	rule = bpf_map_lookup_elem(&ports, &port);
	return judged(rule, bytes);
}

SEC("xdp")
int filter(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	__u32 bytes = end - data;
	struct rule *rule;

	if ((void *)(ethernet + 1) > end)
		return XDP_DROP;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(ethernet + 1);
		struct prefix4 key = { .length = 32 };

		if ((void *)(ip + 1) > end)
			return XDP_DROP;
		__builtin_memcpy(key.address, &ip->saddr, 4);
		rule = bpf_map_lookup_elem(&sources4, &key);
		if (rule)
			return judged(rule, bytes);
		return by_port((void *)(ip + 1), end, ip->protocol, bytes);
	}
	if (ethernet->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(ethernet + 1);
		struct prefix6 key = { .length = 128 };

		if ((void *)(ip + 1) > end)
			return XDP_DROP;
		__builtin_memcpy(key.address, &ip->saddr, 16);
		rule = bpf_map_lookup_elem(&sources6, &key);
		if (rule)
			return judged(rule, bytes);
		return by_port((void *)(ip + 1), end, ip->nexthdr, bytes);
	}
	return XDP_PASS;
}
