struct timed {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct timed);
} timers SEC(".maps"), others SEC(".maps");

SEC("tc") int program(struct __sk_buff *ctx)
{
	__u32 key = 0;
	struct timed *timed = bpf_map_lookup_elem(&timers, &key);

	if (!timed)
		return 0;
#ifdef FIXED
	bpf_timer_init(&timed->timer, &timers, 1);
#else
	bpf_timer_init(&timed->timer, &others, 1);
#endif
	return 0;
}
