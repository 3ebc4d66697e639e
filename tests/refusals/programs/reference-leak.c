SEC("tc") int program(struct __sk_buff *ctx)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sock = bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv4), -1, 0);

#ifdef FIXED
	if (sock)
		bpf_sk_release(sock);
#endif
	return sock != 0;
}
