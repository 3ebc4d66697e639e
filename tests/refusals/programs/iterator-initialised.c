struct bpf_iter_num;
int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

SEC("xdp") int program(struct xdp_md *ctx)
{
	struct bpf_iter_num numbers;

	bpf_iter_num_new(&numbers, 0, 10);
#ifdef FIXED
	bpf_iter_num_destroy(&numbers);
#endif
	bpf_iter_num_new(&numbers, 0, 20);
	bpf_iter_num_destroy(&numbers);
	return XDP_PASS;
}
