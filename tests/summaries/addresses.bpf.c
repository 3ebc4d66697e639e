/* Keys and events with addresses, ports and moments, whose notation is not their number's. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct peer {
	__be32 saddr;
	__be16 dport;
	__u8 mac[6];
};

struct seen {
	__u64 packets;
	__u64 last_seen_ns;
	__be32 gateway;
	__be32 netmask;
};

struct network {
	__u32 prefixlen;
	__be32 addr;
};

struct event {
	struct peer peer;
	__u32 origin;
	__u64 delta_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, struct peer);
	__type(value, struct seen);
} peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 8);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct network);
	__type(value, __u64);
} networks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct event);
} events SEC(".maps");

SEC("xdp")
int watch(struct xdp_md *ctx)
{
	struct event event = {
		.peer = {
			.saddr = bpf_htonl(0x0a000001), .dport = bpf_htons(443), .mac = {2, 0, 0, 0, 0, 9},
		},
		.delta_ns = 700,
		.origin = bpf_htonl(0xc0000201),
	};
	struct seen seen = {.packets = 1, .last_seen_ns = 5000000000, .gateway = event.peer.saddr};
	struct network network = {.prefixlen = 8, .addr = bpf_htonl(0x0a000000)};
	__u64 packets = 3;

	bpf_map_update_elem(&peers, &event.peer, &seen, BPF_ANY);
	bpf_map_update_elem(&networks, &network, &packets, BPF_ANY);
	bpf_ringbuf_output(&events, &event, sizeof(event), 0);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
