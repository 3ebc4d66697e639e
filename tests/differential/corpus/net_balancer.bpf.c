// A load balancer in XDP: services, rings of back ends as maps in maps, tunnels, tail calls.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define RING 97

struct service { __be32 address; __be16 port; __u8 protocol, pad; };
struct flow { __be32 source, destination; __be16 ports[2]; __u32 protocol; };
struct backend { __be32 address; __u8 mac[6]; __u16 flags; };

struct ring {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RING);
	__type(key, __u32);
	__type(value, __u32);
} first_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 64);
	__type(key, struct service);
	__array(values, struct ring);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 512);
	__type(key, __u32);
	__type(value, struct backend);
} backends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 16);
	__type(key, struct flow);
	__type(value, __u32);
} connections SEC(".maps");

int encapsulate(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__array(values, int (void *));
} stages SEC(".maps") = {
	.values = { [1] = (void *)&encapsulate },
};

__u64 misses, hits;

static __always_inline __u32 hash(const struct flow *flow)
{
	__u32 a = flow->source, b = flow->destination ^ flow->protocol;
	__u32 c = (__u32)flow->ports[0] << 16 | flow->ports[1];

	for (int i = 0; i < 4; i++) {
		a = (a ^ c) * 0x9E3779B1u;
		b = (b << 13 | b >> 19) + a;
		c ^= b;
	}
	return c;
}

static __noinline int choose(struct flow *flow, struct service *service)
{
	__u32 slot = hash(flow) % RING, *known = bpf_map_lookup_elem(&connections, flow), *index;
	void *ring;

	if (known) {
		hits++;
		return *known;
	}
	misses++;
	ring = bpf_map_lookup_elem(&services, service);
	if (!ring)
		return -1;
	index = bpf_map_lookup_elem(ring, &slot);
	if (!index)
		return -1;
	bpf_map_update_elem(&connections, flow, index, BPF_ANY);
	return *index;
}

SEC("xdp")
int balance(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	struct iphdr *ip = data + sizeof(*ethernet);
	struct tcphdr *tcp = data + sizeof(*ethernet) + sizeof(*ip);
	struct service service = {};
	struct flow flow = {};
	int chosen;

	if ((void *)(tcp + 1) > end || ethernet->h_proto != bpf_htons(ETH_P_IP) ||
	    ip->protocol != IPPROTO_TCP)
		return XDP_PASS;
	flow.source = ip->saddr;
	flow.destination = service.address = ip->daddr;
	flow.ports[0] = tcp->source;
	flow.ports[1] = service.port = tcp->dest;
	flow.protocol = service.protocol = IPPROTO_TCP;
	chosen = choose(&flow, &service);
	if (chosen < 0)
		return XDP_PASS;
	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(*ip)))
		return XDP_DROP;
	bpf_tail_call(ctx, &stages, 1);
	return XDP_ABORTED;
}

SEC("xdp")
int encapsulate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	struct iphdr *outer = data + sizeof(*ethernet);
	__u32 zero = 0, sum = 0;
	struct backend *backend = bpf_map_lookup_elem(&backends, &zero);
	__u16 *words = (void *)outer;

	if ((void *)(outer + 1) > end || !backend)
		return XDP_DROP;
	__builtin_memset(outer, 0, sizeof(*outer));
	outer->version = 4;
	outer->ihl = 5;
	outer->ttl = 64;
	outer->protocol = IPPROTO_IPIP;
	outer->daddr = backend->address;
	outer->tot_len = bpf_htons(end - data - sizeof(*ethernet));
	for (int i = 0; i < 10; i++)
		sum += words[i];
	outer->check = ~((sum & 0xffff) + (sum >> 16));
	__builtin_memcpy(ethernet->h_dest, backend->mac, 6);
	return XDP_TX;
}
