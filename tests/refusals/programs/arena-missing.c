SEC("syscall") naked int program(void)
{
	asm volatile(
		"r0 = 0;"
#ifndef FIXED
		".8byte 0x10000000100bf;"
#endif
		"exit;");
}
