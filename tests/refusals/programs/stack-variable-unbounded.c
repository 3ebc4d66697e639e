SEC("xdp") naked int program(void)
{
	asm volatile(
		"r1 = *(u32 *)(r1 + 16);"
#ifdef FIXED
		"r1 &= 7;"
#endif
		"r2 = r10;"
		"r2 += -8;"
		"*(u64 *)(r10 - 8) = 0;"
		"r2 += r1;"
		"*(u8 *)(r2 + 0) = 1;"
		"r0 = 2;"
		"exit;");
}
