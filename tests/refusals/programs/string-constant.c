SEC("xdp") int program(struct xdp_md *ctx)
{
	char buffer[8], other[4] = "abc";

#ifdef FIXED
	return bpf_strncmp(other, 4, "abc") ? XDP_PASS : XDP_DROP;
#else
	return bpf_strncmp("abc", 4, other) ? XDP_PASS : XDP_DROP;
#endif
}
