SEC("tracepoint/syscalls/sys_enter_openat") int program(__u32 *ctx)
{
	char buffer[64] = {};
	__u32 length = ctx[6];

#ifdef FIXED
	if (length > sizeof(buffer))
		return 0;
#endif
	bpf_probe_read_kernel(buffer, length, ctx);
	return 0;
}
