SEC("xdp") int program(struct xdp_md *ctx)
{
	__u8 *bytes = packet(ctx), *end = packet_end(ctx);
	__u32 offset = ctx->rx_queue_index;

#ifdef FIXED
	offset &= 0x3fff;
#else
	offset &= 0x3ffff;
#endif
	asm volatile("" : "+r"(offset));
	bytes += offset;
	if (bytes + 1 > end)
		return XDP_DROP;
	return *bytes ? XDP_PASS : XDP_DROP;
}
