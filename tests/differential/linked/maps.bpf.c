// Maps: extern, weak and strong definitions, maps in maps, a prog array, typed and untyped.
//// second
struct key { int a; short b; };
struct value { long count; struct bpf_spin_lock lock; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 16); __type(key, struct key);
	__type(value, struct value); } flows SEC(".maps");
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 2); __type(key, int);
	__type(value, int); };
struct inner inner_one SEC(".maps"), inner_two SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 3); __type(key, int);
	__array(values, struct inner); } outer SEC(".maps") = { .values = { &inner_two, 0, &inner_one } };
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } events SEC(".maps");
int tail(struct xdp_md *ctx);
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 3); __uint(key_size, 4);
	__array(values, int (void *)); } jumps SEC(".maps") = { .values = { [2] = (void *)&tail } };
SEC("xdp") int tail(struct xdp_md *ctx) { return 2; }
SEC("xdp") int two(struct xdp_md *ctx)
{
	struct key key = { ctx->rx_queue_index };
	int index = 0;
	void *inner = bpf_map_lookup_elem(&outer, &index);
	bpf_ringbuf_output(&events, &key, sizeof(key), 0);
	bpf_tail_call(ctx, &jumps, 2);
	return inner && bpf_map_lookup_elem(inner, &index) ? 1 : bpf_map_lookup_elem(&flows, &key) != 0;
}
//// first
struct key { int a; short b; };
struct value { long count; struct bpf_spin_lock lock; };
extern struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 16); __type(key, struct key);
	__type(value, struct value); } flows SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4); __type(key, int);
	__type(value, long); } own SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } events __weak SEC(".maps");
SEC("xdp") int one(struct xdp_md *ctx)
{
	struct key key = { ctx->rx_queue_index };
	int index = 1;
	bpf_ringbuf_output(&events, &key, sizeof(key), 0);
	return bpf_map_lookup_elem(&flows, &key) != 0 || bpf_map_lookup_elem(&own, &index) != 0;
}
//// third
extern struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } events SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1); __uint(key_size, 4);
	__uint(value_size, 40); } scratch SEC(".maps");
SEC("xdp") int three(struct xdp_md *ctx)
{
	int index = 0;
	bpf_ringbuf_output(&events, &index, sizeof(index), 0);
	return bpf_map_lookup_elem(&scratch, &index) != 0;
}
//// fourth
int late(struct xdp_md *ctx);
int tail(struct xdp_md *ctx);
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 3); __uint(key_size, 4);
	__array(values, int (void *)); } late_jumps SEC(".maps") = {
	.values = { [0] = (void *)&tail, [2] = (void *)&late } };
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 2); __type(key, int);
	__type(value, int); };
extern struct inner inner_one SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 2); __type(key, int);
	__array(values, struct inner); } late_outer SEC(".maps") = { .values = { &inner_one } };
SEC("xdp") int four(struct xdp_md *ctx)
{
	int index = 0;
	bpf_tail_call(ctx, &late_jumps, 2);
	return bpf_map_lookup_elem(&late_outer, &index) != 0;
}
//// fifth
SEC("xdp") int late(struct xdp_md *ctx) { return 4; }
