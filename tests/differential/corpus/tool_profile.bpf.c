// A tool: stacks of what runs, counted; for perf events.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct stack_sample { __u32 pid; int user_stack, kernel_stack; char name[16]; };

const volatile bool kernel_only = false;
const volatile bool include_idle = false;

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 127 * sizeof(__u64));
	__uint(max_entries, 1024);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct stack_sample);
	__type(value, __u64);
} counts SEC(".maps");

SEC("perf_event")
int sampled(struct bpf_perf_event_data *ctx)
{
	__u64 id = bpf_get_current_pid_tgid(), one = 1, *count;
	struct stack_sample sample = {};

	if (!include_idle && !(__u32)id)
		return 0;
	sample.pid = id >> 32;
	bpf_get_current_comm(&sample.name, sizeof(sample.name));
	sample.kernel_stack = bpf_get_stackid(&ctx->regs, &stacks, 0);
	sample.user_stack = kernel_only ? -1 : bpf_get_stackid(&ctx->regs, &stacks, BPF_F_USER_STACK);
	count = bpf_map_lookup_elem(&counts, &sample);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&counts, &sample, &one, BPF_NOEXIST);
	return 0;
}
