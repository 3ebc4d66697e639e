// Data: initial values of a local variable, all that is in .rodata: no symbol names them.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct key {
	__u32 bits;
	__u8 address[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, struct key);
	__type(value, __u64);
} counts SEC(".maps");

SEC("xdp")
int count(struct xdp_md *ctx)
{
	struct key key = {.bits = 128, .address = {1, 2, 3, 4, 5, 6, 7}};
	__u64 *counter;

	key.address[ctx->rx_queue_index & 15] = 1;
	counter = bpf_map_lookup_elem(&counts, &key);
	return counter ? XDP_PASS : XDP_DROP;
}
