SEC("xdp") naked int program(void)
{
	asm volatile(
		"r2 = r10;"
#ifdef FIXED
		"r2 += -8;"
#else
		"r2 *= 8;"
#endif
		"*(u64 *)(r10 - 8) = 0;"
		"r0 = 2;"
		"exit;");
}
