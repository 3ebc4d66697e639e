SEC("xdp") naked int program(void)
{
	asm volatile(
		"r0 = 8;"
#ifdef FIXED
		"r0 /= 2;"
#else
		".8byte 0x37;"
#endif
		"exit;");
}
