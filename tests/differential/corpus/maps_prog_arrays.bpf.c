// Prog arrays filled from the object: two arrays, holes, one program twice; tail calls.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

int parse(struct __sk_buff *ctx);
int deliver(struct __sk_buff *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 6);
	__uint(key_size, sizeof(__u32));
	__array(values, int (void *));
} jumps SEC(".maps") = {
	.values = {
		[1] = (void *)&parse,
		[4] = (void *)&deliver,
		[5] = (void *)&parse,
	},
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, int (struct __sk_buff *));
} last SEC(".maps") = {
	.values = { &deliver },
};

SEC("tc")
int parse(struct __sk_buff *ctx)
{
	ctx->cb[0] = ctx->protocol;
	bpf_tail_call(ctx, &jumps, 4);
	return -1;
}

SEC("tc")
int deliver(struct __sk_buff *ctx)
{
	return ctx->cb[0] & 1;
}

SEC("tc")
int entry(struct __sk_buff *ctx)
{
	bpf_tail_call(ctx, &jumps, ctx->mark);
	bpf_tail_call(ctx, &last, 0);
	return 0;
}
