SEC("tc") naked int program(void)
{
	asm volatile(
#ifdef FIXED
		"r0 = *(u32 *)(r1 + 8);"
#else
		"r1 += 8;"
		"r0 = *(u32 *)(r1 + 0);"
#endif
		"r0 = 0;"
		"exit;");
}
