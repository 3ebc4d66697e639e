// since: 6.4
struct bpf_iter_num;
int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

SEC("xdp") int program(struct xdp_md *ctx)
{
	struct bpf_iter_num numbers;
	__u64 *event;

	bpf_iter_num_new(&numbers, 0, 10);
	event = bpf_ringbuf_reserve(&events, 8, 0);
	bpf_iter_num_destroy(&numbers);
#ifdef FIXED
	if (event)
		bpf_ringbuf_discard(event, 0);
#endif
	return XDP_PASS;
}
