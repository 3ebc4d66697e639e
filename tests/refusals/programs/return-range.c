SEC("cgroup_skb/egress") int program(struct __sk_buff *ctx)
{
#ifdef FIXED
	return 1;
#else
	return 7;
#endif
}
