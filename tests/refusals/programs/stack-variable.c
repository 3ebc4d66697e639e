SEC("xdp") int program(struct xdp_md *ctx)
{
	char buffer[8];
	__u32 index = ctx->rx_queue_index;

	__builtin_memset(buffer, 0, 8);
#ifdef FIXED
	index &= 7;
#else
	index &= 15;
#endif
	asm volatile("" : "+r"(index));
	buffer[index] = 1;
	asm volatile("" : : "r"(buffer) : "memory");
	return XDP_PASS;
}
