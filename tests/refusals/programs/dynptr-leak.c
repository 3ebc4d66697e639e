SEC("xdp") int program(struct xdp_md *ctx)
{
	struct bpf_dynptr pointer;

	if (bpf_ringbuf_reserve_dynptr(&events, 8, 0, &pointer)) {
#ifdef FIXED
		bpf_ringbuf_discard_dynptr(&pointer, 0);
#endif
		return XDP_ABORTED;
	}
	bpf_ringbuf_discard_dynptr(&pointer, 0);
	return XDP_PASS;
}
