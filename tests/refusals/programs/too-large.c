// slow
SEC("xdp") naked int program(void)
{
	asm volatile(
		"r0 = 0;"
		"1: r0 += 1;"
#ifdef FIXED
		"if r0 < 1000 goto 1b;"
#else
		"if r0 < 1000000 goto 1b;"
#endif
		"r0 = 2;"
		"exit;");
}
