SEC("xdp") int program(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index;
	char *value = bpf_map_lookup_elem(&values, &key);

#ifdef FIXED
	if (!value)
		return XDP_ABORTED;
	asm volatile("%0 += 8" : "+r"(value));
#else
	asm volatile("%0 += 8" : "+r"(value));
	if (!value)
		return XDP_ABORTED;
#endif
	return *value;
}
