struct locked {
	struct bpf_spin_lock lock;
	__u32 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct locked);
} counters SEC(".maps");

SEC("tc") int program(struct __sk_buff *ctx)
{
	__u32 key = 0, next = 1;
	struct locked *one = bpf_map_lookup_elem(&counters, &key);
	struct locked *two = bpf_map_lookup_elem(&counters, &next);

	if (!one || !two)
		return 0;
	bpf_spin_lock(&one->lock);
#ifdef FIXED
	bpf_spin_unlock(&one->lock);
	bpf_spin_lock(&two->lock);
#else
	bpf_spin_lock(&two->lock);
	bpf_spin_unlock(&one->lock);
#endif
	bpf_spin_unlock(&two->lock);
	return 0;
}
