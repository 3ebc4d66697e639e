SEC("xdp") naked int program(void)
{
	asm volatile(
		"r0 = 8;"
#ifdef FIXED
		"r0 <<= 1;"
#else
		".8byte 0x4000000067;"
#endif
		"exit;");
}
