// without: CAP_PERFMON
SEC("xdp") int program(struct xdp_md *ctx)
{
	__u32 key = 0;
	struct value value = {};

#ifdef FIXED
	bpf_map_update_elem(&values, &key, &value, 0);
#else
	bpf_map_update_elem(&values, &key, &value, (long)ctx);
#endif
	return XDP_PASS;
}
