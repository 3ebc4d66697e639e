/* Map definitions of every form. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct key {
	__u32 prefix_length;
	__u8 address[4];
};

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} inner_one SEC(".maps"), inner_two SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 3);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = {
	.values = { [0] = &inner_one, [2] = &inner_two },
};

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__type(value, __u32);
	__uint(max_entries, 100);
	__uint(map_extra, 3);
} bloom SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct key);
	__type(value, __u64);
	__uint(max_entries, 16);
} prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, 64);
	__uint(key_size, 8);
	__uint(value_size, 24);
} untyped SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 8);
	__type(value, __u64);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_NONE);
	__uint(numa_node, 0);
} placed SEC(".maps");

__u64 found;

SEC("xdp")
int use(struct xdp_md *ctx)
{
	__u32 zero = 0, value = 5;
	__u64 item = 1, eight = 8;
	struct key key = { 32, { 10, 0, 0, 1 } };
	void *map = bpf_map_lookup_elem(&outer, &zero);

	if (map && bpf_map_lookup_elem(map, &zero))
		found++;
	bpf_map_push_elem(&bloom, &value, 0);
	bpf_map_push_elem(&queue, &item, BPF_EXIST);
	bpf_map_update_elem(&prefixes, &key, &item, BPF_ANY);
	if (bpf_map_lookup_elem(&untyped, &eight) || bpf_map_lookup_elem(&placed, &zero))
		found++;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
