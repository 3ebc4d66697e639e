SEC("cgroup/sock_create") naked int program(void)
{
	asm volatile(
#ifdef FIXED
		"r0 = 1;"
#else
		"r0 = r1;"
#endif
		"exit;");
}
