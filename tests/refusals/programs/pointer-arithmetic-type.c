SEC("xdp") naked int program(void)
{
	asm volatile(
		"r1 = %[values] ll;"
#ifndef FIXED
		"r1 += 8;"
#endif
		"r0 = 2;"
		"exit;" : : [values]"i"(&values));
}
