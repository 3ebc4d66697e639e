SEC("xdp") naked int program(void)
{
	asm volatile(
		"r0 = 2;"
#ifdef FIXED
		"r1 = 0 ll;"
#else
		".8byte 0x18;"
#endif
		"exit;");
}
