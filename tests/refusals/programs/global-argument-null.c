__noinline int first(struct value *value)
{
#ifdef FIXED
	if (!value)
		return 0;
#endif
	return value->counts[0];
}

SEC("xdp") int program(struct xdp_md *ctx)
{
	struct value value = {};

	return first(&value);
}
