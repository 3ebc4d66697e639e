// without: CAP_PERFMON
SEC("xdp") int program(struct xdp_md *ctx)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&values, &key);

	if (!value)
		return XDP_ABORTED;
#ifdef FIXED
	*value = 1;
#else
	*value = (long)ctx;
#endif
	return XDP_PASS;
}
