SEC("tp_btf/sched_switch") int program(volatile __u64 *ctx)
{
#ifdef FIXED
	__u64 argument = ctx[0];
#else
	__u64 argument = ctx[9];
#endif

	asm volatile("" : "+r"(argument));
	return 0;
}
