struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} jumps SEC(".maps");

SEC("tc") int program(struct __sk_buff *ctx)
{
	__u64 *event = bpf_ringbuf_reserve(&events, 8, 0);

	if (!event)
		return 0;
	*event = 1;
#ifdef FIXED
	bpf_ringbuf_submit(event, 0);
	bpf_tail_call(ctx, &jumps, 0);
#else
	bpf_tail_call(ctx, &jumps, 0);
	bpf_ringbuf_submit(event, 0);
#endif
	return 0;
}
