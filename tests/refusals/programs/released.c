SEC("xdp") int program(struct xdp_md *ctx)
{
	__u64 *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0), number = 1;

	if (!event)
		return XDP_ABORTED;
	*event = number;
#ifdef FIXED
	number = *event;
	bpf_ringbuf_submit(event, 0);
#else
	bpf_ringbuf_submit(event, 0);
	number = *(volatile __u64 *)event;
#endif
	return number ? XDP_PASS : XDP_DROP;
}
