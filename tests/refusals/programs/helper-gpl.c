// flags: -DNOT_GPL
SEC("xdp") int program(struct xdp_md *ctx)
{
	bpf_trace_printk("x", 2);
	return XDP_PASS;
}
