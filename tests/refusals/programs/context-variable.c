SEC("tc") int program(struct __sk_buff *ctx)
{
	__u32 index = ctx->mark & 3;

#ifdef FIXED
	__u32 copy[] = {ctx->cb[0], ctx->cb[1], ctx->cb[2], ctx->cb[3]};

	return copy[index];
#else
	return ctx->cb[index];
#endif
}
