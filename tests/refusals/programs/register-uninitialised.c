SEC("xdp") naked int program(void)
{
	asm volatile(
#ifdef FIXED
		"r6 = 2;"
#endif
		"r0 = r6;"
		"exit;");
}
