SEC("tc") int program(struct __sk_buff *ctx)
{
#ifdef FIXED
	bpf_skb_pull_data(ctx, 0);
#else
	bpf_skb_pull_data((void *)ctx - 8, 0);
#endif
	return 0;
}
