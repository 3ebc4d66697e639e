SEC("xdp") naked int program(void)
{
	asm volatile(
#ifdef FIXED
		"*(u64 *)(r10 - 512) = 0;"
#else
		"*(u64 *)(r10 - 520) = 0;"
#endif
		"r0 = 2;"
		"exit;");
}
