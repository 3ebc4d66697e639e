#ifdef FIXED
__noinline int first(__u32 *value)
{
	return value ? *value : 0;
}
#else
__noinline int first(void *value)
{
	return value ? *(__u32 *)value : 0;
}
#endif

SEC("xdp") int program(struct xdp_md *ctx)
{
	__u32 value = 0;

	return first(&value);
}
