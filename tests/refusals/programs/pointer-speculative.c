// without: CAP_PERFMON
SEC("xdp") naked int program(void)
{
	asm volatile(
		"r6 = *(u32 *)(r1 + 16);"
		"r3 = 0;"
		"*(u32 *)(r10 - 4) = r3;"
		"r1 = %[values] ll;"
		"r2 = r10;"
		"r2 += -4;"
		"call 1;"
		"if r0 == 0 goto 1f;"
#ifdef FIXED
		"r6 &= 7;"
#else
		"r6 &= 63;"
		"if r6 s> 7 goto 1f;"
		"r7 = r6;"
		"r6 = -1;"
		"if r7 == 3 goto 1f;"
#endif
		"r0 += r6;"
		"r0 = *(u8 *)(r0 + 0);"
		"1: r0 = 2;"
		"exit;" : : [values]"i"(&values));
}
