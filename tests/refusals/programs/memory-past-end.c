struct event {
	__u32 pid, cpu;
};

#ifdef FIXED
#define SIZE sizeof(struct event)
#else
#define SIZE sizeof(__u32)
#endif

SEC("xdp") int program(struct xdp_md *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, SIZE, 0);

	if (!event)
		return XDP_ABORTED;
	event->cpu = 1;
	bpf_ringbuf_submit(event, 0);
	return XDP_PASS;
}
