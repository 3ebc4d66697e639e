struct value *pointer;

__noinline int first(struct value *value)
{
	return value ? value->counts[0] : 0;
}

SEC("xdp") int program(struct xdp_md *ctx)
{
	struct value value = {};

#ifdef FIXED
	return first(&value);
#else
	return first((void *)(long)ctx->rx_queue_index);
#endif
}
