int bpf_nowhere(void) __ksym __weak;

SEC("xdp") int program(struct xdp_md *ctx)
{
#ifdef FIXED
	if (!bpf_ksym_exists(bpf_nowhere))
		return XDP_PASS;
#endif
	return bpf_nowhere();
}
