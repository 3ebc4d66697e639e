SEC("xdp") naked int program(void)
{
	asm volatile(
		"r0 = 0;"
		"1:"
#ifdef FIXED
		"r0 += 1;"
		"if r0 < 10 goto 1b;"
#else
		"if r0 < 10 goto 1b;"
#endif
		"r0 = 2;"
		"exit;");
}
