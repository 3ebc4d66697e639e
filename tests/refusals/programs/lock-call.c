struct locked {
	struct bpf_spin_lock lock;
	__u64 time;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct locked);
} counters SEC(".maps");

SEC("tc") int program(struct __sk_buff *ctx)
{
	__u32 key = 0;
	struct locked *counter = bpf_map_lookup_elem(&counters, &key);
	__u64 now = 0;

	if (!counter)
		return 0;
#ifdef FIXED
	now = bpf_ktime_get_ns();
#endif
	bpf_spin_lock(&counter->lock);
#ifndef FIXED
	now = bpf_ktime_get_ns();
#endif
	counter->time = now;
	bpf_spin_unlock(&counter->lock);
	return 0;
}
