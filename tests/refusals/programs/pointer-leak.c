// without: CAP_PERFMON
SEC("xdp") naked int program(void)
{
	asm volatile(
#ifdef FIXED
		"r0 = 2;"
#else
		"r0 = r10;"
#endif
		"exit;");
}
