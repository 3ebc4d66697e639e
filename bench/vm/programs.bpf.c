/* The benchmark's programs: each runs on a packet of 1,514 bytes or more, parse on any. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "work.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, u64);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 4);
} chain SEC(".maps");

u8 composite[SIEVE];
u64 left[SIDE * SIDE], right[SIDE * SIDE], product[SIDE * SIDE];
u32 slot;

SEC("xdp")
int empty(struct xdp_md *ctx)
{
	return 2;
}

SEC("xdp")
int alu(struct xdp_md *ctx)
{
	return (u32)alu_loop(ctx->rx_queue_index + 88172645463325252ull);
}

SEC("xdp")
int sum(struct xdp_md *ctx)
{
	u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + 1500 > end)
		return 0;
	return checksum(data);
}

SEC("xdp")
int parser(struct xdp_md *ctx)
{
	return parse((void *)(long)ctx->data, (void *)(long)ctx->data_end);
}

SEC("xdp")
int primes(struct xdp_md *ctx)
{
	return sieve(composite);
}

SEC("xdp")
int multiply(struct xdp_md *ctx)
{
	return (u32)matrix(left, right, product);
}

SEC("xdp")
int lookup_update(struct xdp_md *ctx)
{
	u64 key = 7, value = 1, *found = bpf_map_lookup_elem(&table, &key);

	if (found)
		value = *found + 1;
	bpf_map_update_elem(&table, &key, &value, BPF_ANY);
	return (u32)value;
}

SEC("xdp")
int direct(struct xdp_md *ctx)
{
	bpf_tail_call_static(ctx, &chain, 0);
	return 33;
}

SEC("xdp")
int indirect(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &chain, *(volatile u32 *)&slot);
	return 33;
}

char _license[] SEC("license") = "GPL";
