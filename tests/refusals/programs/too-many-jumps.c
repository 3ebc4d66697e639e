// slow
SEC("xdp") naked int program(void)
{
	asm volatile(
		"r7 = 0;"
		"1:"
		"call 7;"
		"if r0 == 1 goto 2f;"
		"r7 += 1;"
#ifdef FIXED
		"if r7 < 1000 goto 1b;"
#else
		"if r7 < 9000 goto 1b;"
#endif
		"2:"
		"r0 = 2;"
		"exit;");
}
