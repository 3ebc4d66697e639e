#ifdef FIXED
#define LENGTH 16
#else
#define LENGTH 32
#endif

SEC("tracepoint/syscalls/sys_enter_openat") int program(void *ctx)
{
	char buffer[16];

	bpf_probe_read_kernel(buffer, LENGTH, ctx);
	return 0;
}
