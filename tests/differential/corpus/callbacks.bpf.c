// Callbacks: bpf_loop, for each element, timers: addresses of functions in code.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct walk { __u64 sum; __u32 limit; };
struct element { struct bpf_timer timer; __u64 fired; };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct element);
} timers SEC(".maps");

__u64 total;

static __noinline __u64 weight(__u64 value)
{
	return value * 2 + 1;
}

static int each_index(__u32 index, struct walk *context)
{
	context->sum += weight(index);
	return index >= context->limit;
}

static long each_number(void *map, __u32 *key, __u64 *value, struct walk *context)
{
	context->sum += weight(*value);
	bpf_loop(*key & 7, each_index, context, 0);
	return 0;
}

static int fired(void *map, __u32 *key, struct element *element)
{
	element->fired++;
	total += weight(element->fired);
	return 0;
}

SEC("tc")
int run(struct __sk_buff *ctx)
{
	struct walk context = { .limit = ctx->len };
	struct element *element;
	__u32 zero = 0;

	bpf_loop(100, each_index, &context, 0);
	bpf_for_each_map_elem(&numbers, each_number, &context, 0);
	element = bpf_map_lookup_elem(&timers, &zero);
	if (element) {
		bpf_timer_init(&element->timer, &timers, 1);
		bpf_timer_set_callback(&element->timer, fired);
	}
	total = context.sum;
	return 0;
}
