// Addresses of functions: static callbacks of one name, and a hidden one of another object.
//// first
extern long elsewhere(__u32 index, void *context) __attribute__((visibility("hidden")));
static long each(__u32 index, void *context) { *(long *)context += index; return 0; }
SEC("tc") int one(struct __sk_buff *ctx)
{
	long sum = 0;
	bpf_loop(4, each, &sum, 0);
	bpf_loop(5, elsewhere, &sum, 0);
	return sum;
}
//// second
long elsewhere(__u32 index, void *context) { *(long *)context += 2 * index; return 0; }
static long each(__u32 index, void *context) { *(long *)context += 3 * index; return 0; }
SEC("tc") int two(struct __sk_buff *ctx)
{
	long sum = 0;
	bpf_loop(6, each, &sum, 0);
	bpf_loop(7, elsewhere, &sum, 0);
	return sum;
}
