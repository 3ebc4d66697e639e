SEC("xdp") naked int program(void)
{
	asm volatile(
		"r0 = 2;"
#ifdef FIXED
		"r1 = 0;"
#else
		"r10 = 0;"
#endif
		"exit;");
}
