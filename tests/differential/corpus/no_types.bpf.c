// An object without BTF: code, subprograms and global data, and nobody knows their types.
// flags: -g0
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

__u64 total;
int step = 2;
const volatile int limit = 1000;

static __noinline int add(int x)
{
	total += x * step;
	return total > limit;
}

__noinline int twice(int x)
{
	return add(x) + add(x + 1);
}

SEC("xdp")
int count(struct xdp_md *ctx)
{
	return add(ctx->rx_queue_index) ? XDP_DROP : XDP_PASS;
}

SEC("tc")
int filter(struct __sk_buff *ctx)
{
	return add(ctx->len);
}
