/* Per-CPU maps: arrays, hashes, LRU; values smaller than their slots. */
#include "zoo.h"

struct counts { __u32 packets; __u8 name[3]; };
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct counts);
} by_cpu SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4);
	__type(key, struct counts);
	__type(value, __u64);
} hash_by_cpu SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, 4);
	__type(key, __u16);
	__type(value, char[5]);
} lru_by_cpu SEC(".maps");

SEC("xdp") int per_cpu(struct xdp_md *ctx)
{
	__u32 key = 1;
	struct counts *found = bpf_map_lookup_elem(&by_cpu, &key);

	if (found)
		found->packets++;
	return XDP_PASS;
}
