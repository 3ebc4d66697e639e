SEC("xdp") naked int program(void)
{
	asm volatile(
#ifdef FIXED
		"r0 = 2;"
#else
		".8byte 0x2000700b7;"
#endif
		"exit;");
}
