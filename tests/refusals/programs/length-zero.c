SEC("tracepoint/syscalls/sys_enter_openat") int program(__u64 *ctx)
{
	char buffer[64] = {};
	__u64 length = ctx[3] & 31;

#ifdef FIXED
	length += 1;
#endif
	asm volatile("" : "+r"(length));
	bpf_trace_printk(buffer, length);
	return 0;
}
