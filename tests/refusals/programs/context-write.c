SEC("tc") int program(struct __sk_buff *ctx)
{
#ifdef FIXED
	ctx->mark = 1;
#else
	ctx->len = 1;
#endif
	return 0;
}
