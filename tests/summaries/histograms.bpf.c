/* Histograms of packets' sizes, in each shape that programs keep them in. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define SLOTS 16

struct hist {
	__u32 slots[SLOTS];
};

struct dist_key {
	__u8 parity;
	char name[7];
	__u64 slot;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} size_hist SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct hist);
} by_parity SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct dist_key);
	__type(value, __u64);
} sizes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct hist all = {};
__u64 lengths_hist[SLOTS] = {};
__u64 others[SLOTS] = {};

static __always_inline __u32 log2_of(__u32 value)
{
	__u32 slot = 0;

	for (int i = 0; i < SLOTS - 1; i++) {
		value >>= 1;
		if (!value)
			break;
		slot++;
	}
	return slot;
}

SEC("xdp")
int measure(struct xdp_md *ctx)
{
	__u32 size = ctx->data_end - ctx->data, slot = log2_of(size), index = slot;
	__u32 parity = size & 1;
	struct dist_key key = {.parity = parity, .name = "veth", .slot = slot};
	struct hist empty = {}, *hist;
	__u64 one = 1, *count;

	count = bpf_map_lookup_elem(&size_hist, &index);
	if (count)
		*count += 1;
	count = bpf_map_lookup_elem(&counters, &index);
	if (count)
		*count += 1;
	bpf_map_update_elem(&by_parity, &parity, &empty, BPF_NOEXIST);
	hist = bpf_map_lookup_elem(&by_parity, &parity);
	if (hist)
		hist->slots[slot] += 1;
	count = bpf_map_lookup_elem(&sizes, &key);
	if (count)
		*count += 1;
	else
		bpf_map_update_elem(&sizes, &key, &one, BPF_ANY);
	all.slots[slot] += 1;
	lengths_hist[slot] += 1;
	others[slot] += 1;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
