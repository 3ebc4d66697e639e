#ifdef FIXED
#define SIZE 128
#else
#define SIZE 320
#endif
#define keep(buffer) asm volatile("" : : "r"(buffer) : "memory")

static __noinline int inner(__u32 number)
{
	char buffer[SIZE] = {number};

	keep(buffer);
	return buffer[0];
}

SEC("xdp") int program(struct xdp_md *ctx)
{
	char buffer[SIZE] = {1};

	keep(buffer);
	return inner(buffer[0]) + buffer[1];
}
