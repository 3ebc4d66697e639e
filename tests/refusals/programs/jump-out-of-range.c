SEC("xdp") naked int program(void)
{
	asm volatile(
		"r0 = 2;"
#ifdef FIXED
		"goto +0;"
#else
		"goto +7;"
#endif
		"exit;");
}
