SEC("cgroup/skb") int program(struct __sk_buff *ctx)
{
#ifdef FIXED
	return ctx->mark != 0;
#else
	return ctx->tc_classid != 0;
#endif
}
