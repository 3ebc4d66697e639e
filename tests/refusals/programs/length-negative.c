SEC("tracepoint/syscalls/sys_enter_openat") int program(__u64 *ctx)
{
	char buffer[64] = {};
	__s64 length = ctx[3];

#ifdef FIXED
	if (length < 0)
		return 0;
#endif
	if (length > 64)
		return 0;
	bpf_probe_read_kernel(buffer, length, ctx);
	return 0;
}
