struct locked {
	__u64 count;
	struct bpf_spin_lock lock;
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

	if (!counter)
		return 0;
#ifdef FIXED
	bpf_spin_lock(&counter->lock);
	bpf_spin_unlock(&counter->lock);
#else
	bpf_spin_lock((void *)&counter->count);
	bpf_spin_unlock((void *)&counter->count);
#endif
	return 0;
}
