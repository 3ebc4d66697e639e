SEC("tc") int program(struct __sk_buff *ctx)
{
	struct bpf_sock *sock = ctx->sk;

	if (!sock)
		return 0;
#ifdef FIXED
	return sock->family;
#else
	return *(__u64 *)sock;
#endif
}
