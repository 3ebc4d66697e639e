static __noinline naked void *inner(void)
{
	asm volatile(
#ifdef FIXED
		"r0 = 0;"
#else
		"r0 = r10;"
#endif
		"exit;");
}

SEC("xdp") naked int program(void)
{
	asm volatile("call %[inner];"
		     "r0 = 2;"
		     "exit;" : : [inner]"i"(inner));
}
