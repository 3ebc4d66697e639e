// without: CAP_PERFMON
SEC("xdp") naked int program(void)
{
	asm volatile(
#ifdef FIXED
		"r1 = 0;"
		"*(u64 *)(r10 - 8) = r1;"
#endif
		"r0 = *(u64 *)(r10 - 8);"
		"r0 = 2;"
		"exit;");
}
