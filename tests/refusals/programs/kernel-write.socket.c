SEC("tc") int program(struct __sk_buff *ctx)
{
	struct bpf_sock *sock = ctx->sk;

	if (!sock)
		return 0;
	sock = bpf_sk_fullsock(sock);
	if (!sock)
		return 0;
#ifdef FIXED
	return sock->mark;
#else
	sock->mark = 1;
	return 0;
#endif
}
