SEC("xdp") int program(struct xdp_md *ctx)
{
	__u64 *event = bpf_ringbuf_reserve(&events, 16, 0);

	if (!event)
		return XDP_ABORTED;
	event[0] = event[1] = 1;
#ifdef FIXED
	bpf_ringbuf_submit(event, 0);
#else
	bpf_ringbuf_submit(event + 1, 0);
#endif
	return XDP_PASS;
}
