struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__type(value, struct value);
} queue SEC(".maps");

SEC("xdp") int program(struct xdp_md *ctx)
{
	struct value value = {};

#ifdef FIXED
	bpf_map_push_elem(&queue, &value, 0);
#else
	bpf_map_push_elem(&values, &value, 0);
#endif
	return XDP_PASS;
}
