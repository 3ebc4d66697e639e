SEC("xdp") naked int program(void)
{
	asm volatile(
		"r0 = 2;"
#ifndef FIXED
		"exit;"
		"r0 = 1;"
#endif
		"exit;");
}
