// refused: BPF_F_SLEEPABLE
SEC("xdp") int program(struct xdp_md *ctx)
{
	return XDP_PASS;
}
