static long step(__u32 index, void *context)
{
#ifdef FIXED
	return 1;
#else
	return 2;
#endif
}

SEC("xdp") int program(struct xdp_md *ctx)
{
	bpf_loop(10, step, 0, 0);
	return XDP_PASS;
}
