SEC("xdp") naked int program(void)
{
	asm volatile(
		"r2 = 4096;"
#ifdef FIXED
		"r2 = r10;"
		"*(u64 *)(r10 - 8) = 1;"
#endif
		"r0 = *(u64 *)(r2 - 8);"
		"r0 = 2;"
		"exit;");
}
