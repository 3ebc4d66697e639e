SEC("tracepoint/syscalls/sys_enter_openat") int program(__u64 *ctx)
{
	__u32 key = 0;
	struct value *value = bpf_map_lookup_elem(&values, &key);
	__u64 length = ctx[3];

#ifdef FIXED
	if (!value || length > sizeof(*value))
#else
	if (!value || length > sizeof(*value) + 1)
#endif
		return 0;
	bpf_probe_read_kernel(value, length, ctx);
	return 0;
}
