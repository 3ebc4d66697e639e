SEC("xdp") int program(struct xdp_md *ctx)
{
	__u64 *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return XDP_ABORTED;
	*event = 1;
	bpf_ringbuf_submit(event, 0);
#ifndef FIXED
	bpf_ringbuf_discard(event, 0);
#endif
	return XDP_PASS;
}
