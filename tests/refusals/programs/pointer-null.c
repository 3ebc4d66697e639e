SEC("xdp") int program(struct xdp_md *ctx)
{
	__u64 *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

#ifdef FIXED
	if (!event)
		return XDP_ABORTED;
#endif
	*event = 1;
	bpf_ringbuf_submit(event, 0);
	return XDP_PASS;
}
