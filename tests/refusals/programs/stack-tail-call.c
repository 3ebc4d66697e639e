#ifdef FIXED
#define SIZE 128
#else
#define SIZE 320
#endif

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} jumps SEC(".maps");

static __noinline int inner(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &jumps, 0);
	return XDP_PASS;
}

SEC("xdp") int program(struct xdp_md *ctx)
{
	char buffer[SIZE] = {1};

	asm volatile("" : : "r"(buffer) : "memory");
	inner(ctx);
	return buffer[0];
}
