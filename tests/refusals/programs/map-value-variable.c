SEC("xdp") int program(struct xdp_md *ctx)
{
	__u32 key = 0, index = ctx->rx_queue_index;
	struct value *value = bpf_map_lookup_elem(&values, &key);

#ifdef FIXED
	if (!value || index >= 8)
#else
	if (!value || index > 8)
#endif
		return XDP_ABORTED;
	return value->counts[index];
}
