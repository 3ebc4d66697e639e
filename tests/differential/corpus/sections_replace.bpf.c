// Sections: a program that another one replaces functions of; here only the one to be replaced.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

__noinline int replaceable(struct xdp_md *ctx)
{
	int volatile result = XDP_PASS;

	return ctx ? result : XDP_ABORTED;
}

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	return replaceable(ctx);
}
