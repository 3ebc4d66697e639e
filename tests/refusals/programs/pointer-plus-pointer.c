SEC("xdp") naked int program(void)
{
	asm volatile(
		"r2 = *(u32 *)(r1 + 0);"
		"r3 = r10;"
#ifdef FIXED
		"r3 += -8;"
#else
		"r3 += r2;"
#endif
		"r0 = 2;"
		"exit;");
}
