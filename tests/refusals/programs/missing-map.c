// left out: values
SEC("xdp") int program(struct xdp_md *ctx)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&values, &key) ? XDP_PASS : XDP_DROP;
}
