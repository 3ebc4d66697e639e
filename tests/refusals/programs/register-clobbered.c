SEC("xdp") naked int program(void)
{
	asm volatile(
		"r6 = r1;"
		"call 5;"
#ifdef FIXED
		"r0 = *(u32 *)(r6 + 16);"
#else
		"r0 = *(u32 *)(r1 + 16);"
#endif
		"r0 = 2;"
		"exit;");
}
