SEC("xdp") int program(struct xdp_md *ctx)
{
	__u32 key = 0;
	__s64 index = (__s32)ctx->rx_queue_index;
	struct value *value = bpf_map_lookup_elem(&values, &key);

	if (!value)
		return XDP_ABORTED;
#ifdef FIXED
	index &= 7;
#endif
	if (index >= 8)
		return XDP_DROP;
	return value->counts[index];
}
