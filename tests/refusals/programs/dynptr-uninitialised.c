SEC("xdp") int program(struct xdp_md *ctx)
{
	struct bpf_dynptr pointer;
	__u64 number = 0;

#ifdef FIXED
	bpf_ringbuf_reserve_dynptr(&events, 8, 0, &pointer);
	bpf_dynptr_read(&number, 8, &pointer, 0, 0);
	bpf_ringbuf_discard_dynptr(&pointer, 0);
#else
	bpf_dynptr_read(&number, 8, &pointer, 0, 0);
#endif
	return number ? XDP_PASS : XDP_DROP;
}
