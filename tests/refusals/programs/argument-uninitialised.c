// without: CAP_PERFMON
SEC("xdp") naked int program(void)
{
	asm volatile(
		"r1 = %[values] ll;"
		"r2 = r10;"
		"r2 += -4;"
#ifdef FIXED
		"r3 = 0;"
		"*(u32 *)(r10 - 4) = r3;"
#endif
		"call 1;"
		"r0 = 2;"
		"exit;" : : [values]"i"(&values));
}
