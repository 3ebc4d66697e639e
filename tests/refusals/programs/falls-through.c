SEC("xdp") naked int program(void)
{
	asm volatile(
		"r0 = 2;"
#ifdef FIXED
		"exit;"
#else
		"r0 = 1;"
#endif
		);
}
