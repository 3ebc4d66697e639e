// Address translation in tc: both directions, checksums, connection tracking in one map.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define L3 sizeof(struct ethhdr)
#define L4 (L3 + sizeof(struct iphdr))

struct endpoint { __be32 address; __be16 port; __u16 zone; };
struct translation { struct endpoint to; __u64 last, packets; };

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct endpoint);
	__type(value, struct translation);
	__uint(map_flags, BPF_F_NO_COMMON_LRU);
} outgoing SEC(".maps"), incoming SEC(".maps");

__be32 public_address SEC(".data.config");
__u16 first_port SEC(".data.config") = 40000;

static __always_inline int rewrite(struct __sk_buff *skb, __u32 address_at, __u32 port_at,
				   struct endpoint *from, struct endpoint *to)
{
	bpf_l4_csum_replace(skb, L4 + offsetof(struct udphdr, check), from->address, to->address,
			    BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0 | 4);
	bpf_l4_csum_replace(skb, L4 + offsetof(struct udphdr, check), from->port, to->port,
			    BPF_F_MARK_MANGLED_0 | 2);
	bpf_l3_csum_replace(skb, L3 + offsetof(struct iphdr, check), from->address, to->address, 4);
	bpf_skb_store_bytes(skb, address_at, &to->address, 4, 0);
	return bpf_skb_store_bytes(skb, port_at, &to->port, 2, 0) ? TC_ACT_SHOT : TC_ACT_OK;
}

static __noinline int translate(struct __sk_buff *skb, __u32 egress)
{
	__u32 address_at = L3 + (egress ? offsetof(struct iphdr, saddr) : offsetof(struct iphdr, daddr));
	__u32 port_at = L4 + (egress ? 0 : 2);
	struct endpoint from = {};
	struct translation *known;

	if (skb->protocol != bpf_htons(ETH_P_IP) ||
	    bpf_skb_load_bytes(skb, address_at, &from.address, 4) ||
	    bpf_skb_load_bytes(skb, port_at, &from.port, 2))
		return TC_ACT_OK;
	if (egress)
		known = bpf_map_lookup_elem(&outgoing, &from);
	else
		known = bpf_map_lookup_elem(&incoming, &from);
	if (!known) {
		struct translation fresh = { .last = bpf_ktime_get_ns(), .packets = 1 };

		if (!egress)
			return TC_ACT_OK;
		fresh.to.address = public_address;
		fresh.to.port = bpf_htons(first_port + (bpf_get_prandom_u32() & 0x3fff));
		bpf_map_update_elem(&outgoing, &from, &fresh, BPF_NOEXIST);
		return rewrite(skb, address_at, port_at, &from, &fresh.to);
	}
	__sync_fetch_and_add(&known->packets, 1);
	known->last = bpf_ktime_get_ns();
	return rewrite(skb, address_at, port_at, &from, &known->to);
}

SEC("tc")
int leave(struct __sk_buff *skb)
{
	return translate(skb, 1);
}

SEC("tc")
int arrive(struct __sk_buff *skb)
{
	return translate(skb, 0);
}
