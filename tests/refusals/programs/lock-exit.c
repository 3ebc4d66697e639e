struct locked {
	struct bpf_spin_lock lock;
	__u32 count;
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
	bpf_spin_lock(&counter->lock);
	if (counter->count > 100) {
#ifdef FIXED
		bpf_spin_unlock(&counter->lock);
#endif
		return 1;
	}
	counter->count++;
	bpf_spin_unlock(&counter->lock);
	return 0;
}
