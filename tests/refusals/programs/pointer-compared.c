// without: CAP_PERFMON
SEC("xdp") naked int program(void)
{
	asm volatile(
#ifdef FIXED
		"r2 = 0;"
		"r3 = 1;"
#else
		"r2 = r10;"
		"r3 = r1;"
#endif
		"if r2 == r3 goto +0;"
		"r0 = 2;"
		"exit;");
}
