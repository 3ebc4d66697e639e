SEC("xdp") naked int program(void)
{
	asm volatile(
		"r2 = *(u32 *)(r1 + 0);"
		"r3 = *(u32 *)(r1 + 4);"
#ifdef FIXED
		"r4 = r2;"
#else
		"w4 = w2;"
#endif
		"r5 = r4;"
		"r5 += 1;"
		"if r5 > r3 goto 1f;"
		"r0 = *(u8 *)(r4 + 0);"
		"1: r0 = 2;"
		"exit;");
}
