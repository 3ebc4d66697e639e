struct timed {
	__u64 number;
#ifdef FIXED
	struct bpf_timer timer;
#else
	__u64 timer[2];
#endif
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct timed);
} timers SEC(".maps");

SEC("tc") int program(struct __sk_buff *ctx)
{
	__u32 key = 0;
	struct timed *timed = bpf_map_lookup_elem(&timers, &key);

	if (!timed)
		return 0;
	bpf_timer_init((void *)&timed->timer, &timers, 1);
	return 0;
}
