SEC("cgroup_skb/egress") int program(struct __sk_buff *ctx)
{
	__u8 *bytes = packet(ctx), copy[4];
	struct bpf_perf_event_value *unused;

	if (bytes + 4 > (__u8 *)packet_end(ctx))
		return 0;
#ifdef FIXED
	__builtin_memcpy(copy, bytes, 4);
	bpf_trace_printk((const char *)copy, 4);
#else
	bpf_trace_printk((const char *)bytes, 4);
#endif
	return 1;
}
