SEC("tracepoint/syscalls/sys_enter_openat") int program(__u64 *ctx)
{
	char first = 0, *name = (char *)ctx[3];

#ifdef FIXED
	bpf_probe_read_user(&first, 1, name);
#else
	first = *name;
#endif
	return first;
}
