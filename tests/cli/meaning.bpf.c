/* Maps, events and variables of things that mean something. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in6.h>
#include <bpf/bpf_helpers.h>

struct net4 {
	__u32 prefixlen;
	__be32 addr;
};

struct net6 {
	__u32 prefixlen;
	struct in6_addr addr;
};

struct peer {
	__be32 addr;
	__be16 port;
	unsigned char mac[ETH_ALEN];
	__u32 host_addr;
	__u64 seen_ns;
	__u64 ts;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct net4);
	__type(value, __u32);
} routes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct net6);
	__type(value, struct in6_addr);
} routes6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __be32);
	__type(value, struct peer);
} peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 16);
	__type(key, __be16);
	__type(value, __be32);
} by_port SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct peer);
} events SEC(".maps");

__be32 gateway = 0;
unsigned char gateway_mac[6] = {2, 0, 0, 0, 0, 1};

SEC("xdp") int say(struct xdp_md *ctx)
{
	struct peer *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	__be32 addr = gateway;

	if (!event)
		return XDP_ABORTED;
	__builtin_memset(event, 0, sizeof(*event));
	event->addr = addr;
	event->port = 0xbb01; /* 443 as it lies on a little-endian machine */
	event->mac[5] = gateway_mac[5];
	event->host_addr = addr;
	event->seen_ns = 1500000000;
	event->ts = 1500000000;
	event->bytes = 64;
	bpf_map_update_elem(&peers, &addr, event, 0);
	bpf_ringbuf_submit(event, 0);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
