// Subprograms: one global function that takes the context of programs of several types.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} events SEC(".maps");

__weak __noinline int report(int kind, void *ctx __arg_ctx)
{
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &kind, sizeof(kind));
	return kind;
}

__weak __noinline int twice(void *ctx __arg_ctx, int kind)
{
	return report(kind, ctx) + report(kind + 1, ctx);
}

SEC("kprobe/vfs_read")
int probe(void *ctx)
{
	return report(1, ctx);
}

SEC("perf_event")
int sample(void *ctx)
{
	return twice(ctx, 2);
}

SEC("raw_tp/sched_switch")
int switched(void *ctx)
{
	return twice(ctx, 3);
}

SEC("tc")
int packet(struct __sk_buff *ctx)
{
	return twice(ctx, 4) & 1;
}
