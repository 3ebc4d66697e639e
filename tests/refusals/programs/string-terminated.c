const char name[4] = {'a', 'b', 'c',
#ifdef FIXED
	0,
#else
	'd',
#endif
};

SEC("xdp") int program(struct xdp_md *ctx)
{
	char other[4] = "abc";

	return bpf_strncmp(other, 4, name) ? XDP_PASS : XDP_DROP;
}
