SEC("xdp") naked int program(void)
{
	asm volatile(
		"r0 = 2;"
#ifndef FIXED
		".8byte 0xff;"
#endif
		"exit;");
}
