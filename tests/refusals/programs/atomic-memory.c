SEC("xdp") naked int program(void)
{
	asm volatile(
		"r2 = 1;"
		"*(u64 *)(r10 - 8) = r2;"
#ifdef FIXED
		"lock *(u64 *)(r10 - 8) += r2;"
#else
		"lock *(u64 *)(r1 + 0) += r2;"
#endif
		"r0 = 2;"
		"exit;");
}
