struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} devices SEC(".maps");

SEC("syscall") int program(void *ctx)
{
	__u32 key = 0;

#ifdef FIXED
	return bpf_map_lookup_elem(&values, &key) != 0;
#else
	return bpf_map_lookup_elem(&devices, &key) != 0;
#endif
}
