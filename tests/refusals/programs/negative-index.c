SEC("xdp") int program(struct xdp_md *ctx)
{
	__u32 key = 0;
	__s64 index = ctx->rx_queue_index & 15;
	__u8 *value = bpf_map_lookup_elem(&values, &key);

	if (!value)
		return XDP_ABORTED;
	index -= 8;
#ifdef FIXED
	if (index < 0)
		return XDP_DROP;
#endif
	asm volatile("" : "+r"(index));
	return value[index];
}
