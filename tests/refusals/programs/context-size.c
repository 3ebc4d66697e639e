SEC("xdp") naked int program(void)
{
	asm volatile(
#ifdef FIXED
		"r0 = *(u32 *)(r1 + 16);"
#else
		"r0 = *(u64 *)(r1 + 16);"
#endif
		"r0 = 2;"
		"exit;");
}
