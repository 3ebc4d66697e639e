struct timed {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct timed);
} timers SEC(".maps");

static int expired(void *map, __u32 *key, struct timed *timed)
{
#ifdef FIXED
	return 0;
#else
	return 1;
#endif
}

SEC("tc") int program(struct __sk_buff *ctx)
{
	__u32 key = 0;
	struct timed *timed = bpf_map_lookup_elem(&timers, &key);

	if (!timed)
		return 0;
	bpf_timer_init(&timed->timer, &timers, 1);
	bpf_timer_set_callback(&timed->timer, expired);
	return 0;
}
