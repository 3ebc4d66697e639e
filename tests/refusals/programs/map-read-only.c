const volatile __u64 limit = 3;
__u64 seen;

SEC("xdp") int program(struct xdp_md *ctx)
{
#ifdef FIXED
	seen = 4;
#else
	*(volatile __u64 *)&limit = 4;
#endif
	return XDP_PASS;
}
