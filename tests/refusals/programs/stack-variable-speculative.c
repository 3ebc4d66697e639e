// without: CAP_PERFMON
SEC("xdp") naked int program(void)
{
	asm volatile(
		"r1 = *(u32 *)(r1 + 16);"
		"r1 &= 7;"
		"r2 = r10;"
		"r2 += -8;"
		"r3 = 0;"
		"*(u64 *)(r10 - 8) = r3;"
#ifndef FIXED
		"r2 += r1;"
#endif
		"*(u8 *)(r2 + 0) = 1;"
		"r0 = 2;"
		"exit;");
}
