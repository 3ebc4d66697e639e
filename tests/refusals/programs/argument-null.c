SEC("xdp") int program(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index;
	struct value *value = bpf_map_lookup_elem(&values, &key);

#ifdef FIXED
	if (!value)
		return XDP_ABORTED;
#endif
	bpf_map_update_elem(&values, &key, value, 0);
	return XDP_PASS;
}
