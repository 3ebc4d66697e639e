#ifdef FIXED
#define INDEX 7
#else
#define INDEX 8
#endif

SEC("xdp") int program(struct xdp_md *ctx)
{
	__u32 key = 0;
	struct value *value = bpf_map_lookup_elem(&values, &key);

	if (!value)
		return XDP_ABORTED;
	return value->counts[INDEX];
}
