#ifdef FIXED
SEC("socket")
#else
SEC("xdp")
#endif
naked int program(void)
{
	asm volatile(
		"r6 = r1;"
		"r0 = *(u8 *)skb[0];"
		"r0 = 2;"
		"exit;");
}
