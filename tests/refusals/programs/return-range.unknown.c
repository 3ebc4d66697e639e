SEC("cgroup/sock_create") int program(struct bpf_sock *ctx)
{
#ifdef FIXED
	return ctx->mark ? 1 : 0;
#else
	return ctx->mark;
#endif
}
