SEC("xdp") int program(struct xdp_md *ctx)
{
	__u8 *bytes = packet(ctx), *end = packet_end(ctx);

	if (bpf_xdp_adjust_head(ctx, 4))
		return XDP_ABORTED;
#ifdef FIXED
	bytes = packet(ctx);
	end = packet_end(ctx);
#endif
	if (bytes + 1 > end)
		return XDP_DROP;
	return *bytes ? XDP_PASS : XDP_DROP;
}
