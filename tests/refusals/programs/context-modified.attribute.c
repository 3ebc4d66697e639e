#ifdef FIXED
struct __attribute__((preserve_static_offset)) context {
#else
struct context {
#endif
	__u32 len, pkt_type, mark, queue_mapping, protocol;
};

SEC("tc") int program(struct context *ctx)
{
	switch (bpf_get_prandom_u32()) {
	case 0: return ctx->len;
	case 1: return ctx->protocol;
	case 2: return ctx->mark;
	}
	return ctx->queue_mapping;
}
