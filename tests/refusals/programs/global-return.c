#ifdef FIXED
static
#endif
__noinline struct value *find(__u32 key)
{
	return bpf_map_lookup_elem(&values, &key);
}

SEC("xdp") int program(struct xdp_md *ctx)
{
	return find(ctx->rx_queue_index) ? XDP_PASS : XDP_DROP;
}
