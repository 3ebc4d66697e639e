struct bpf_iter_num;
int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

SEC("xdp") int program(struct xdp_md *ctx)
{
	struct bpf_iter_num numbers;
	int *number;

#ifdef FIXED
	bpf_iter_num_new(&numbers, 0, 10);
#endif
	while ((number = bpf_iter_num_next(&numbers)))
		;
	bpf_iter_num_destroy(&numbers);
	return XDP_PASS;
}
