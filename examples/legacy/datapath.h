/* What the two objects of the example share: maps in iproute2's way, state in skb->cb. */
#ifndef DATAPATH_H
#define DATAPATH_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct bpf_elf_map {
	__u32 type;
	__u32 size_key;
	__u32 size_value;
	__u32 max_elem;
	__u32 flags;
	__u32 id;
	__u32 pinning;
	__u32 inner_id;
	__u32 inner_idx;
};

#define PIN_GLOBAL_NS 2
#define MAP(name) struct bpf_elf_map SEC("maps") name

/* Tells loaders that know BTF the types of a map's keys and values. */
#define BPF_ANNOTATE_KV_PAIR(name, type_key, type_value)                       \
	struct ____btf_map_##name {                                            \
		type_key key;                                                  \
		type_value value;                                              \
	};                                                                     \
	struct ____btf_map_##name                                              \
		__attribute__((section(".maps." #name), used))                 \
		____btf_map_##name = {}

#define CALLS_ID 1
#define POLICY_CALLS_ID 2
#define POLICY_ID 3

#define ENDPOINTS 64

enum call { CALL_DROP_NOTIFY, CALL_IPV4, CALL_IPV6, CALLS };

enum reason {
	FORWARDED,
	DROP_POLICY,
	DROP_NO_ENDPOINT,
	DROP_MALFORMED,
	DROP_MISSED_CALL,
	LEFT_HOST, /* counted by the other object */
};

struct metrics_key {
	__u16 reason;
	__u16 endpoint;
};

struct metrics {
	__u64 packets;
	__u64 bytes;
};

/* Where the state of a packet lies between tail calls. */
enum cb { CB_REASON, CB_ENDPOINT, CB_PORT };

MAP(metrics) = {
	.type = BPF_MAP_TYPE_HASH,
	.size_key = sizeof(struct metrics_key),
	.size_value = sizeof(struct metrics),
	.max_elem = 1024,
	.pinning = PIN_GLOBAL_NS,
};
BPF_ANNOTATE_KV_PAIR(metrics, struct metrics_key, struct metrics);

static __always_inline void count(struct __sk_buff *skb, __u16 reason, __u16 endpoint)
{
	struct metrics_key key = { reason, endpoint };
	struct metrics first = { 1, skb->len };
	struct metrics *found = bpf_map_lookup_elem(&metrics, &key);

	if (found) {
		__sync_fetch_and_add(&found->packets, 1);
		__sync_fetch_and_add(&found->bytes, skb->len);
	} else {
		bpf_map_update_elem(&metrics, &key, &first, BPF_NOEXIST);
	}
}

#endif
