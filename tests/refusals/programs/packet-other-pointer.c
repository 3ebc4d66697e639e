SEC("xdp") int program(struct xdp_md *ctx)
{
	__u8 *bytes = packet(ctx), *end = packet_end(ctx), *options;

	if (bytes + 34 > end)
		return XDP_DROP;
	options = bytes + (bytes[14] & 15) * 4;
#ifdef FIXED
	if (options + 1 > end)
		return XDP_DROP;
#endif
	return *options ? XDP_PASS : XDP_DROP;
}
