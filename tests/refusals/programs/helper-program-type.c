SEC("xdp") int program(struct xdp_md *ctx)
{
#ifdef FIXED
	bpf_xdp_adjust_head(ctx, 0);
#else
	bpf_skb_pull_data((void *)ctx, 0);
#endif
	return XDP_PASS;
}
