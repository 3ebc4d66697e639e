struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpf_dynptr);
} places SEC(".maps");

SEC("xdp") int program(struct xdp_md *ctx)
{
	__u32 key = 0;
#ifdef FIXED
	struct bpf_dynptr local, *pointer = &local;
#else
	struct bpf_dynptr *pointer = bpf_map_lookup_elem(&places, &key);
#endif

	if (!pointer)
		return XDP_ABORTED;
	bpf_ringbuf_reserve_dynptr(&events, 8, 0, pointer);
	bpf_ringbuf_discard_dynptr(pointer, 0);
	return XDP_PASS;
}
