SEC("xdp") int program(struct xdp_md *ctx)
{
	struct bpf_dynptr pointer;
	__u64 *slice, number = 0;

	bpf_ringbuf_reserve_dynptr(&events, 8, 0, &pointer);
	slice = bpf_dynptr_data(&pointer, 0, 8);
#ifdef FIXED
	if (slice)
		number = *slice;
	bpf_ringbuf_discard_dynptr(&pointer, 0);
#else
	bpf_ringbuf_discard_dynptr(&pointer, 0);
	if (slice)
		number = *(volatile __u64 *)slice;
#endif
	return number ? XDP_PASS : XDP_DROP;
}
