// Maps: map_extra (hash functions of a bloom filter), numa_node, flags that programs obey.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 1000);
	__uint(map_extra, 3);
	__type(value, __u64);
} bloom SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_NUMA_NODE | BPF_F_NO_PREALLOC);
	__uint(numa_node, 0);
	__type(key, __u32);
	__type(value, __u32);
} on_node SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, __u32);
} mapped SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__uint(map_flags, BPF_F_INNER_MAP);
	__type(key, __u32);
	__type(value, __u32);
} growing SEC(".maps");

SEC("tc")
int filter(struct __sk_buff *ctx)
{
	__u64 item = ctx->hash;

	if (!bpf_map_peek_elem(&bloom, &item))
		return 1;
	return bpf_map_push_elem(&bloom, &item, BPF_ANY) ? 2 : 0;
}
