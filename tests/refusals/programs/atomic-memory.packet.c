SEC("xdp") int program(struct xdp_md *ctx)
{
	__u64 *bytes = packet(ctx);

	if (bytes + 1 > (__u64 *)packet_end(ctx))
		return XDP_DROP;
#ifdef FIXED
	*bytes += 1;
#else
	__sync_fetch_and_add(bytes, 1);
#endif
	return XDP_PASS;
}
