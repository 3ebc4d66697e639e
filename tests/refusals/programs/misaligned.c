// program: BPF_F_STRICT_ALIGNMENT
SEC("xdp") int program(struct xdp_md *ctx)
{
	__u8 *bytes = packet(ctx);

	if (bytes + 34 > (__u8 *)packet_end(ctx))
		return XDP_DROP;
#ifdef FIXED
	return bytes[27] == 10;
#else
	return *(__u32 *)(bytes + 27) == 10;
#endif
}
