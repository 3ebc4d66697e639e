SEC("xdp") naked int program(void)
{
	asm volatile(
#ifdef FIXED
		"r0 = 2;"
#endif
		"exit;");
}
