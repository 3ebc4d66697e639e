SEC("xdp") int program(struct xdp_md *ctx)
{
	__u32 key = 0;
	__u8 *value = bpf_map_lookup_elem(&values, &key);
	__u64 offset = 1;

	if (!value)
		return XDP_ABORTED;
#ifndef FIXED
	offset <<= 30;
#endif
	asm volatile("%0 += %1" : "+r"(value) : "r"(offset));
	return *value;
}
