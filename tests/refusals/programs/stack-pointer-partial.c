SEC("xdp") naked int program(void)
{
	asm volatile(
		"*(u64 *)(r10 - 8) = r1;"
#ifdef FIXED
		"r0 = *(u64 *)(r10 - 8);"
#else
		"r0 = *(u32 *)(r10 - 8);"
#endif
		"r0 = 2;"
		"exit;");
}
