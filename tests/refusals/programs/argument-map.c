SEC("xdp") int program(struct xdp_md *ctx)
{
	__u32 key = 1;
	void *map = &values;

#ifndef FIXED
	map = (void *)(long)ctx->rx_queue_index;
#endif
	bpf_map_delete_elem(map, &key);
	return XDP_PASS;
}
