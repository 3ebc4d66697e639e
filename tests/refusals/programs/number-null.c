SEC("xdp") naked int program(void)
{
	asm volatile(
		"r2 = 0;"
#ifdef FIXED
		"r2 = r10;"
		"*(u64 *)(r10 - 8) = r10;"
		"r2 += -8;"
#endif
		"r0 = *(u64 *)(r2 + 0);"
		"r0 = 2;"
		"exit;");
}
