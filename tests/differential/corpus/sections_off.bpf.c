// Sections: programs that are not loaded unless asked for ("?"), among others that are.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

__u64 seen;

SEC("?xdp")
int left_out(struct xdp_md *ctx)
{
	seen++;
	return XDP_PASS;
}

SEC("xdp")
int taken(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("?kprobe/function_of_no_kernel")
int left_out_too(void *ctx)
{
	return 0;
}
