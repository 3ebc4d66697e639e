// since: 6.1
SEC("xdp") int program(struct xdp_md *ctx)
{
	struct bpf_dynptr pointer;
	__u64 *slice;

	bpf_ringbuf_reserve_dynptr(&events, 8, 0, &pointer);
	slice = bpf_dynptr_data(&pointer, 0, 8);
#ifdef FIXED
	if (slice)
		*slice = 1;
#else
	*slice = 1;
#endif
	bpf_ringbuf_discard_dynptr(&pointer, 0);
	return XDP_PASS;
}
