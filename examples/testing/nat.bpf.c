/* Source NAT on a tc egress hook: flows from `inside` leave with the address `outside`, and with a
 * port of their own; ingress undoes it. UDP over IPv4 without options. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define FIRST_PORT 40000

const volatile __be32 inside;	/* the network */
const volatile __be32 mask = bpf_htonl(0xffffff00);
const volatile __be32 outside;	/* this host */

struct endpoint {
	__be32 address;
	__be16 port;
	__u16 padding;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct endpoint);
	__type(value, __be16);
} leaving SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __be16);
	__type(value, struct endpoint);
} coming SEC(".maps");

__u32 ports; /* given so far */

#define IP_OFFSET sizeof(struct ethhdr)
#define UDP_OFFSET (IP_OFFSET + sizeof(struct iphdr))

/* Whether it is a packet of which addresses can be changed; its headers then. */
static __always_inline int parse(struct __sk_buff *skb, struct iphdr *ip, struct udphdr *udp)
{
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return 0;
	if (bpf_skb_load_bytes(skb, IP_OFFSET, ip, sizeof(*ip)))
		return 0;
	if (ip->ihl != 5 || ip->protocol != IPPROTO_UDP)
		return 0;
	return !bpf_skb_load_bytes(skb, UDP_OFFSET, udp, sizeof(*udp));
}

/* Put an address and a port in the place of others, at these offsets, and mend the checksums. */
static __always_inline void rewrite(struct __sk_buff *skb, int has_checksum, __u32 address_at,
				    __u32 port_at, __be32 old_address, __be16 old_port,
				    __be32 address, __be16 port)
{
	__u32 ip_sum = IP_OFFSET + offsetof(struct iphdr, check);
	__u32 udp_sum = UDP_OFFSET + offsetof(struct udphdr, check);

	if (has_checksum) {
		bpf_l4_csum_replace(skb, udp_sum, old_address, address,
				    BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0 | sizeof(address));
		bpf_l4_csum_replace(skb, udp_sum, old_port, port,
				    BPF_F_MARK_MANGLED_0 | sizeof(port));
	}
	bpf_l3_csum_replace(skb, ip_sum, old_address, address, sizeof(address));
	bpf_skb_store_bytes(skb, address_at, &address, sizeof(address), 0);
	bpf_skb_store_bytes(skb, port_at, &port, sizeof(port), 0);
}

SEC("tc")
int leave(struct __sk_buff *skb)
{
	struct endpoint source = {};
	struct udphdr udp;
	struct iphdr ip;
	__be16 *known, port;

	if (!parse(skb, &ip, &udp))
		return TC_ACT_OK;
	if ((ip.saddr & mask) != inside)
		return TC_ACT_OK;
	source.address = ip.saddr;
	source.port = udp.source;
	known = bpf_map_lookup_elem(&leaving, &source);
	if (known) {
		port = *known;
	} else {
		port = bpf_htons(FIRST_PORT + (__sync_fetch_and_add(&ports, 1) & 0x3fff));
		if (bpf_map_update_elem(&coming, &port, &source, BPF_NOEXIST))
			return TC_ACT_SHOT;
		if (bpf_map_update_elem(&leaving, &source, &port, BPF_ANY)) {
			bpf_map_delete_elem(&coming, &port);
			return TC_ACT_SHOT;
		}
	}
	rewrite(skb, udp.check != 0, IP_OFFSET + offsetof(struct iphdr, saddr),
		UDP_OFFSET + offsetof(struct udphdr, source), ip.saddr, udp.source, outside, port);
	return TC_ACT_OK;
}

SEC("tc")
int come(struct __sk_buff *skb)
{
	struct endpoint *target;
	struct udphdr udp;
	struct iphdr ip;
	__be16 port;

	if (!parse(skb, &ip, &udp) || ip.daddr != outside)
		return TC_ACT_OK;
	port = udp.dest;
	target = bpf_map_lookup_elem(&coming, &port);
	if (!target)
		return TC_ACT_OK;
	rewrite(skb, udp.check != 0, IP_OFFSET + offsetof(struct iphdr, daddr),
		UDP_OFFSET + offsetof(struct udphdr, dest), ip.daddr, udp.dest, target->address,
		target->port);
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "GPL";
