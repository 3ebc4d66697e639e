// A map that is declared extern by an object before the one that defines it.
//// first
extern struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } events SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4); __type(key, int);
	__type(value, long); } own SEC(".maps");
SEC("xdp") int one(struct xdp_md *ctx)
{
	int index = 1;
	bpf_ringbuf_output(&events, &index, sizeof(index), 0);
	return bpf_map_lookup_elem(&own, &index) != 0;
}
//// second
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } events SEC(".maps");
SEC("xdp") int two(struct xdp_md *ctx)
{
	int index = 1;
	bpf_ringbuf_output(&events, &index, sizeof(index), 0);
	return 0;
}
