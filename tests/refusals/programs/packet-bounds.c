SEC("xdp") int program(struct xdp_md *ctx)
{
	__u8 *bytes = packet(ctx);

#ifdef FIXED
	if (bytes + 14 > (__u8 *)packet_end(ctx))
		return XDP_DROP;
#endif
	return bytes[13] ? XDP_PASS : XDP_DROP;
}
