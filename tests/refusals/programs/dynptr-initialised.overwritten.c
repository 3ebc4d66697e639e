// on 6.1: dynptr-uninitialised
SEC("xdp") int program(struct xdp_md *ctx)
{
	struct bpf_dynptr pointer;

	bpf_ringbuf_reserve_dynptr(&events, 8, 0, &pointer);
#ifndef FIXED
	*(volatile __u64 *)&pointer = 0;
#endif
	bpf_ringbuf_discard_dynptr(&pointer, 0);
	return XDP_PASS;
}
