SEC("xdp") naked int program(void)
{
	asm volatile(
#ifdef FIXED
		"*(u64 *)(r10 - 8) = 0;"
#else
		"*(u64 *)(r10 - 12) = 0;"
#endif
		"r0 = 2;"
		"exit;");
}
