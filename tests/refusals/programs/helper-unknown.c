SEC("xdp") naked int program(void)
{
	asm volatile(
#ifdef FIXED
		"call 5;"
#else
		"call 9999;"
#endif
		"r0 = 2;"
		"exit;");
}
