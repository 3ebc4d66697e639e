// Maps: pinned by name, one not, one with types only for its value.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} osmia_corpus_pinned SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_NONE);
} not_pinned SEC(".maps");

SEC("xdp")
int count(struct xdp_md *ctx)
{
	__u32 key = ctx->ingress_ifindex;
	__u64 one = 1, *value = bpf_map_lookup_elem(&osmia_corpus_pinned, &key);

	if (value)
		(*value)++;
	else
		bpf_map_update_elem(&osmia_corpus_pinned, &key, &one, BPF_ANY);
	return XDP_PASS;
}
