// A big program: thousands of instructions, long jumps, many references to one map and one variable.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} table SEC(".maps");

__u64 state;

#define STEP(n)                                                            \
	{                                                                  \
		__u32 key = (hash >> ((n) & 7)) & 255;                     \
		__u64 *value = bpf_map_lookup_elem(&table, &key);          \
		if (!value)                                                \
			return XDP_ABORTED;                                \
		hash = hash * 31 + *value + (n) * 2654435761u;             \
		state ^= hash;                                             \
	}
#define STEPS8(n) STEP(n) STEP(n + 1) STEP(n + 2) STEP(n + 3) STEP(n + 4) STEP(n + 5) STEP(n + 6) STEP(n + 7)
#define STEPS64(n) STEPS8(n) STEPS8(n + 8) STEPS8(n + 16) STEPS8(n + 24) \
		   STEPS8(n + 32) STEPS8(n + 40) STEPS8(n + 48) STEPS8(n + 56)
#define STEPS256(n) STEPS64(n) STEPS64(n + 64) STEPS64(n + 128) STEPS64(n + 192)

SEC("xdp")
int walk(struct xdp_md *ctx)
{
	__u64 hash = ctx->rx_queue_index;

	STEPS256(0)
	STEPS64(256)
	return hash & 1 ? XDP_PASS : XDP_DROP;
}
