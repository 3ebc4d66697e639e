SEC("xdp") int program(struct xdp_md *ctx)
{
	__u64 size = 8;
	void *event;

#ifndef FIXED
	size = ctx->rx_queue_index & 63;
#endif
	event = bpf_ringbuf_reserve(&events, size, 0);
	if (event)
		bpf_ringbuf_discard(event, 0);
	return XDP_PASS;
}
