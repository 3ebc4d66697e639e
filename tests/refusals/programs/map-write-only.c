struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
#ifndef FIXED
	__uint(map_flags, BPF_F_WRONLY_PROG);
#endif
	__type(key, __u32);
	__type(value, __u64);
} secrets SEC(".maps");

SEC("xdp") int program(struct xdp_md *ctx)
{
	__u32 key = 0;
	__u64 *secret = bpf_map_lookup_elem(&secrets, &key);

	return secret ? *secret : 0;
}
