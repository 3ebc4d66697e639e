// Tail calls: with constant and variable keys, from a program and from its subprograms.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 4);
} jumps SEC(".maps");

__u32 hops;

static __noinline int jump(struct __sk_buff *ctx)
{
	hops++;
	bpf_tail_call_static(ctx, &jumps, 2);
	return 1;
}

SEC("tc")
int entry(struct __sk_buff *ctx)
{
	if (ctx->mark == 1)
		bpf_tail_call_static(ctx, &jumps, 0);
	if (ctx->mark == 2)
		return jump(ctx);
	bpf_tail_call(ctx, &jumps, ctx->mark);
	return 0;
}

SEC("tc")
int next(struct __sk_buff *ctx)
{
	return jump(ctx) + 1;
}
