#ifdef FIXED
#define CHECKED 34
#else
#define CHECKED 14
#endif

SEC("xdp") int program(struct xdp_md *ctx)
{
	__u8 *bytes = packet(ctx);

	if (bytes + CHECKED > (__u8 *)packet_end(ctx))
		return XDP_DROP;
	return bytes[33] ? XDP_PASS : XDP_DROP;
}
