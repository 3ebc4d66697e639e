SEC("xdp") naked int program(void)
{
	asm volatile(
		"r2 = *(u32 *)(r1 + 0);"
		"r3 = *(u32 *)(r1 + 4);"
		"r4 = 100;"
#ifdef FIXED
		"r3 -= r2;"
		"r4 -= r3;"
#else
		"r4 -= r2;"
#endif
		"r0 = 2;"
		"exit;");
}
