SEC("xdp") naked int program(void)
{
	asm volatile(
		"r2 = *(u32 *)(r1 + 0);"
		"r3 = *(u32 *)(r1 + 4);"
#ifdef FIXED
		"r2 += 14;"
		"if r2 > r3 goto +0;"
#else
		"r3 += -14;"
		"if r2 > r3 goto +0;"
#endif
		"r0 = 2;"
		"exit;");
}
