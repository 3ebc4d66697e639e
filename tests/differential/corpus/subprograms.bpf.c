// Subprograms: static, global, weak and hidden; shared, nested, called in many orders.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

__u64 calls;

static __noinline int leaf(int x)
{
	calls++;
	return x * 3;
}

static __noinline int middle(int x)
{
	return leaf(x) + leaf(x + 1);
}

__noinline int global_one(int x)
{
	return middle(x) ^ 5;
}

__weak __noinline int weak_one(int x)
{
	return global_one(x) + 1;
}

__hidden __noinline int hidden_one(int *x)
{
	*x += 1;
	return leaf(*x);
}

__noinline int unused(int x)
{
	return x;
}

SEC("xdp")
int first(struct xdp_md *ctx)
{
	return weak_one(ctx->rx_queue_index) & 1 ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int second(struct xdp_md *ctx)
{
	int x = ctx->ingress_ifindex;

	return hidden_one(&x) + middle(x) > 7 ? XDP_PASS : XDP_DROP;
}

SEC("tc")
int third(struct __sk_buff *ctx)
{
	int x = ctx->mark;

	return global_one(x) + hidden_one(&x) + leaf(x);
}
