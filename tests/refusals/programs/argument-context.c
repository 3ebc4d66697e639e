SEC("xdp") naked int program(void)
{
	asm volatile(
#ifndef FIXED
		"r1 = r10;"
#endif
		"r2 = 0;"
		"call 44;"
		"r0 = 2;"
		"exit;");
}
