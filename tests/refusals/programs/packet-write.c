SEC("cgroup_skb/egress") int program(struct __sk_buff *ctx)
{
	__u8 *bytes = packet(ctx), copy[1];

	if (bytes + 1 > (__u8 *)packet_end(ctx))
		return 0;
#ifdef FIXED
	copy[0] = bytes[0];
	asm volatile("" : : "r"(copy) : "memory");
#else
	bytes[0] = 1;
#endif
	return 1;
}
