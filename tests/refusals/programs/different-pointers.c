SEC("tc") naked int program(void)
{
	asm volatile(
		"r6 = r1;"
		"r7 = *(u32 *)(r1 + 8);"
#ifdef FIXED
		"if r7 == 0 goto 1f;"
		"r1 = r10;"
		"*(u64 *)(r10 - 8) = 0;"
		"r0 = *(u32 *)(r1 - 8);"
		"goto 2f;"
		"1: r0 = *(u32 *)(r1 + 0);"
		"2: r0 = 0;"
#else
		"if r7 == 0 goto 1f;"
		"*(u64 *)(r10 - 8) = 0;"
		"r1 = r10;"
		"r1 += -8;"
		"1: r0 = *(u32 *)(r1 + 0);"
		"r0 = 0;"
#endif
		"exit;");
}
