// on 6.1: loop-back-edge
static __noinline naked int again(void)
{
	asm volatile(
		"r0 = 2;"
		"if r1 == 0 goto 1f;"
		"r1 += -1;"
#ifndef FIXED
		"call %[again];"
#endif
		"1: exit;" : : [again]"i"(again));
}

SEC("xdp") naked int program(void)
{
	asm volatile(
		"r1 = *(u32 *)(r1 + 16);"
		"call %[again];"
		"exit;" : : [again]"i"(again));
}
