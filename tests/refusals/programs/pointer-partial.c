// without: CAP_PERFMON
SEC("xdp") naked int program(void)
{
	asm volatile(
#ifdef FIXED
		"r2 = r10;"
#else
		"w2 = w10;"
#endif
		"r0 = 2;"
		"exit;");
}
