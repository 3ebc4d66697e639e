// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Drops what comes from denied addresses or goes to denied ports, before the stack sees it. */
#include "tool.bpf.h"
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
/* Addresses of IPv4 are mapped into IPv6: ::ffff:10.0.0.0/104 is 10.0.0.0/8. */
struct prefix {
	__u32 bits;
	__u8 address[16];
};

struct dropped {
	__u64 packets, bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, struct dropped);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32); /* protocol << 16 | port */
	__type(value, struct dropped);
} services SEC(".maps");

/* The header at `at`, which is behind it then; no rule is for packets that end before. */
#define NEXT(type) ({ type *___h = at; at = ___h + 1; if (at > end) return NULL; ___h; })

static struct dropped *rule_for(void *at, void *end)
{
	struct prefix source = {.bits = 128};
	__u32 protocol = 0;
	struct ethhdr *ethernet = NEXT(struct ethhdr);

	if (ethernet->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = NEXT(struct iphdr);
		source.address[10] = source.address[11] = 0xff;
		__builtin_memcpy(source.address + 12, &ip->saddr, 4);
		if (!(ip->frag_off & bpf_htons(0x1fff))) /* later fragments have no ports */
			protocol = ip->protocol;
		at = (void *) ip + ip->ihl * 4;
	} else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = NEXT(struct ipv6hdr);
		__builtin_memcpy(source.address, &ip->saddr, 16);
		protocol = ip->nexthdr;
	} else {
		return NULL;
	}
	struct dropped *rule = bpf_map_lookup_elem(&sources, &source);
	if (rule || (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP))
		return rule;
	struct udphdr { __be16 from, to; } *ports = NEXT(struct udphdr); /* TCP's begins so, too */
	protocol = protocol << 16 | bpf_ntohs(ports->to);
	return bpf_map_lookup_elem(&services, &protocol);
}

SEC("xdp")
int filter(struct xdp_md *ctx)
{
	void *data = (void *) (long) ctx->data, *end = (void *) (long) ctx->data_end;
	struct dropped *rule = rule_for(data, end);
	if (!rule)
		return XDP_PASS;
	__sync_fetch_and_add(&rule->packets, 1);
	__sync_fetch_and_add(&rule->bytes, end - data);
	return XDP_DROP;
}
