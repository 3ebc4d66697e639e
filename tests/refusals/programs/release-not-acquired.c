SEC("tc") int program(struct __sk_buff *ctx)
{
	struct bpf_sock *sock = ctx->sk;

	if (!sock)
		return 0;
	sock = bpf_sk_fullsock(sock);
	if (!sock)
		return 0;
#ifndef FIXED
	bpf_sk_release(sock);
#endif
	return sock->mark;
}
