SEC("xdp") int program(struct xdp_md *ctx)
{
	__u32 key = 1;

#ifdef FIXED
	bpf_map_delete_elem(&values, &key);
#else
	bpf_map_delete_elem(&values, (void *)(long)key);
#endif
	return XDP_PASS;
}
