static long step(__u32 index, void *context)
{
	return 0;
}

SEC("xdp") int program(struct xdp_md *ctx)
{
#ifdef FIXED
	bpf_loop(10, step, 0, 0);
#else
	bpf_loop(10, (void *)(long)ctx->rx_queue_index, 0, 0);
#endif
	return XDP_PASS;
}
