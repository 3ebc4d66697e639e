SEC("xdp") int program(struct xdp_md *ctx)
{
	__u64 arguments[1] = {1};
	char text[16];
#ifdef FIXED
	static const char format[] = "%d";
#else
	static const char format[] = "%y";
#endif

	bpf_snprintf(text, sizeof(text), format, arguments, sizeof(arguments));
	return XDP_PASS;
}
