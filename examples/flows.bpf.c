/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An XDP program that watches traffic: it parses Ethernet (with VLAN tags), IPv4, IPv6,
 * TCP and UDP, counts every flow in a hash map, keeps totals in global variables, drops
 * what goes to blocked ports, and reports new flows, sampled, through a ring buffer.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define MAX_FLOWS 16384
#define MAX_BLOCKED_PORTS 8
#define MAX_VLAN_TAGS 2
#define MAX_IPV6_EXTENSIONS 4

#define IPV4_FRAGMENT_OFFSET 0x1fff
#define IPV6_FRAGMENT_OFFSET 0xfff8

/*
 * Settings. The loader may change them before the program is loaded; the verifier then
 * sees constants and removes what they make unreachable.
 */

/* Report one new flow in so many; 0 reports none. */
const volatile __u32 sample_rate = 8;

/* Destination ports whose packets are dropped; 0 is no port. */
const volatile __u16 blocked_ports[MAX_BLOCKED_PORTS] = { 23 };

/*
 * Totals, readable at any time while the program runs.
 */
__u64 packets;   /* all frames */
__u64 bytes;     /* … and their size from the Ethernet header on */
__u64 ipv4;      /* packets by protocol */
__u64 ipv6;
__u64 tcp;
__u64 udp;
__u64 other;     /* neither IPv4 nor IPv6, as ARP */
__u64 fragments; /* later fragments, which have no ports */
__u64 malformed; /* cut off within a header, or a header that contradicts itself */
__u64 dropped;   /* to a blocked port */
__u64 new_flows;
__u64 lost_flows;  /* the map was full */
__u64 lost_events; /* the ring buffer was full */

/*
 * What a flow is. IPv4 addresses are written as IPv6 ones (::ffff:a.b.c.d), so one map
 * holds both. Every byte of a hash key counts: there is no padding here.
 */
struct flow_key {
	__u8 source[16];
	__u8 destination[16];
	__u16 source_port; /* host byte order; 0 where the protocol has none */
	__u16 destination_port;
	__u16 vlan;    /* the outermost tag's id, 0 without one */
	__u8 protocol; /* IPPROTO_TCP, … */
	__u8 version;  /* of IP: 4 or 6 */
};

struct flow {
	__u64 packets;
	__u64 bytes;
	__u64 first_seen; /* ns, bpf_ktime_get_ns() */
	__u64 last_seen;
};

/* The record sent for a new flow. */
struct flow_event {
	struct flow_key key;
	__u64 timestamp; /* ns, bpf_ktime_get_ns() */
	__u32 size;      /* bytes of the flow's first packet */
	__u32 verdict;   /* enum xdp_action */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FLOWS);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024); /* bytes */
} events SEC(".maps");

/* What is left to parse of a packet. */
struct cursor {
	void *at;
	void *end;
};

enum outcome {
	PARSED,
	NOT_IP,
	MALFORMED,
};

/* Global variables are shared by all CPUs. */
#define add(counter, n) __sync_fetch_and_add(&(counter), (n))

/* Move past a header at the cursor; false when the packet ends before the header does. */
static __always_inline _Bool take(struct cursor *cursor, __u32 size)
{
	if (cursor->at + size > cursor->end)
		return 0;
	cursor->at += size;
	return 1;
}

struct vlan_tag {
	__be16 control; /* priority, and the VLAN's id in the low 12 bits */
	__be16 ethertype;
};

static __always_inline enum outcome parse_ethernet(struct cursor *cursor, struct flow_key *key,
						   __u16 *ethertype)
{
	struct ethhdr *ethernet = cursor->at;
	struct vlan_tag *tag;

	if (!take(cursor, sizeof(*ethernet)))
		return MALFORMED;
	*ethertype = bpf_ntohs(ethernet->h_proto);
	for (int i = 0; i < MAX_VLAN_TAGS; i++) {
		if (*ethertype != ETH_P_8021Q && *ethertype != ETH_P_8021AD)
			break;
		tag = cursor->at;
		if (!take(cursor, sizeof(*tag)))
			return MALFORMED;
		if (i == 0)
			key->vlan = bpf_ntohs(tag->control) & 0xfff;
		*ethertype = bpf_ntohs(tag->ethertype);
	}
	return PARSED;
}

/* Write an IPv4 address as ::ffff:a.b.c.d. */
static __always_inline void map_address(__u8 address[16], __be32 ipv4_address)
{
	address[10] = 0xff;
	address[11] = 0xff;
	__builtin_memcpy(&address[12], &ipv4_address, sizeof(ipv4_address));
}

static __always_inline enum outcome parse_ipv4(struct cursor *cursor, struct flow_key *key,
					       _Bool *has_ports)
{
	struct iphdr *ip = cursor->at;

	if (!take(cursor, sizeof(*ip)) || ip->version != 4 || ip->ihl < 5)
		return MALFORMED;
	/* Options: counted from the start, where the verifier can see the bounds, 0 to 60. */
	cursor->at = ip;
	if (!take(cursor, ip->ihl * 4))
		return MALFORMED;
	add(ipv4, 1);
	key->version = 4;
	key->protocol = ip->protocol;
	map_address(key->source, ip->saddr);
	map_address(key->destination, ip->daddr);
	*has_ports = !(bpf_ntohs(ip->frag_off) & IPV4_FRAGMENT_OFFSET);
	return PARSED;
}

/* How the extension headers that may stand before TCP or UDP begin. */
struct ipv6_extension {
	__u8 next;
	__u8 size; /* in units of 8 bytes, without the first; reserved in a fragment header */
	__be16 fragment_offset;
	__u8 rest[4];
};

static __always_inline enum outcome skip_extensions(struct cursor *cursor, struct flow_key *key,
						    _Bool *has_ports)
{
	struct ipv6_extension *extension;

	for (int i = 0; i < MAX_IPV6_EXTENSIONS; i++) {
		switch (key->protocol) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			extension = cursor->at;
			if (!take(cursor, sizeof(*extension)) || !take(cursor, extension->size * 8))
				return MALFORMED;
			break;
		case IPPROTO_FRAGMENT:
			extension = cursor->at;
			if (!take(cursor, sizeof(*extension)))
				return MALFORMED;
			if (bpf_ntohs(extension->fragment_offset) & IPV6_FRAGMENT_OFFSET)
				*has_ports = 0;
			break;
		default:
			return PARSED;
		}
		key->protocol = extension->next;
		/* Behind a later fragment's header comes data, whatever `next` says. */
		if (!*has_ports)
			return PARSED;
	}
	return PARSED;
}

static __always_inline enum outcome parse_ipv6(struct cursor *cursor, struct flow_key *key,
					       _Bool *has_ports)
{
	struct ipv6hdr *ip = cursor->at;

	if (!take(cursor, sizeof(*ip)) || ip->version != 6)
		return MALFORMED;
	add(ipv6, 1);
	key->version = 6;
	key->protocol = ip->nexthdr;
	__builtin_memcpy(key->source, &ip->saddr, sizeof(key->source));
	__builtin_memcpy(key->destination, &ip->daddr, sizeof(key->destination));
	*has_ports = 1;
	return skip_extensions(cursor, key, has_ports);
}

static __always_inline enum outcome parse_ports(struct cursor *cursor, struct flow_key *key)
{
	struct tcphdr *segment = cursor->at;
	struct udphdr *datagram = cursor->at;

	switch (key->protocol) {
	case IPPROTO_TCP:
		if (!take(cursor, sizeof(*segment)) || segment->doff < 5)
			return MALFORMED;
		add(tcp, 1);
		key->source_port = bpf_ntohs(segment->source);
		key->destination_port = bpf_ntohs(segment->dest);
		return PARSED;
	case IPPROTO_UDP:
		if (!take(cursor, sizeof(*datagram)))
			return MALFORMED;
		add(udp, 1);
		key->source_port = bpf_ntohs(datagram->source);
		key->destination_port = bpf_ntohs(datagram->dest);
		return PARSED;
	default:
		return PARSED;
	}
}

/* Fill the key from the packet's headers. */
static __always_inline enum outcome parse(struct cursor *cursor, struct flow_key *key)
{
	enum outcome outcome;
	_Bool has_ports = 0;
	__u16 ethertype;

	outcome = parse_ethernet(cursor, key, &ethertype);
	if (outcome != PARSED)
		return outcome;
	if (ethertype == ETH_P_IP)
		outcome = parse_ipv4(cursor, key, &has_ports);
	else if (ethertype == ETH_P_IPV6)
		outcome = parse_ipv6(cursor, key, &has_ports);
	else
		return NOT_IP;
	if (outcome != PARSED)
		return outcome;
	if (!has_ports) {
		add(fragments, 1);
		return PARSED;
	}
	return parse_ports(cursor, key);
}

static __always_inline _Bool is_blocked(__u16 port)
{
	for (int i = 0; i < MAX_BLOCKED_PORTS; i++)
		if (blocked_ports[i] && blocked_ports[i] == port)
			return 1;
	return 0;
}

/*
 * Send the record of a new flow. A function of its own, not inlined: so its argument's
 * type is in the object's BTF, where the reader of the ring buffer finds it.
 */
static __noinline void report(struct flow_event *event)
{
	if (bpf_ringbuf_output(&events, event, sizeof(*event), 0))
		add(lost_events, 1);
}

/* Enter a new flow with its first packet. */
static __always_inline void open_flow(const struct flow_key *key, __u32 size, __u64 now,
				      __u32 verdict)
{
	struct flow first = { .packets = 1, .bytes = size, .first_seen = now, .last_seen = now };
	__u64 number;

	/* When another CPU was faster, its entry has one packet fewer than it should. */
	if (bpf_map_update_elem(&flows, key, &first, BPF_NOEXIST)) {
		add(lost_flows, 1);
		return;
	}
	number = add(new_flows, 1);
	if (sample_rate && number % sample_rate == 0) {
		struct flow_event event = { .timestamp = now, .size = size, .verdict = verdict };

		event.key = *key;
		report(&event);
	}
}

static __always_inline void count_flow(const struct flow_key *key, __u32 size, __u32 verdict)
{
	__u64 now = bpf_ktime_get_ns();
	struct flow *flow = bpf_map_lookup_elem(&flows, key);

	if (!flow) {
		open_flow(key, size, now, verdict);
		return;
	}
	add(flow->packets, 1);
	add(flow->bytes, size);
	flow->last_seen = now;
}

SEC("xdp")
int ingress(struct xdp_md *ctx)
{
	struct cursor cursor = {
		.at = (void *) (long) ctx->data,
		.end = (void *) (long) ctx->data_end,
	};
	__u32 size = cursor.end - cursor.at;
	struct flow_key key = {};
	__u32 verdict = XDP_PASS;

	add(packets, 1);
	add(bytes, size);
	switch (parse(&cursor, &key)) {
	case NOT_IP:
		add(other, 1);
		return XDP_PASS;
	case MALFORMED:
		/* For the network stack to judge, which knows more of it. */
		add(malformed, 1);
		return XDP_PASS;
	case PARSED:
		break;
	}
	if (is_blocked(key.destination_port)) {
		add(dropped, 1);
		verdict = XDP_DROP;
	}
	count_flow(&key, size, verdict);
	return verdict;
}

char LICENSE[] SEC("license") = "Apache-2.0";
