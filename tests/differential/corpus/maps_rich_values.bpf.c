// Maps: values that the kernel looks into: spin locks, timers, kernel pointers.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define CLOCK_MONOTONIC 1

struct guarded {
	struct bpf_spin_lock lock;
	__u64 count;
};

struct timed {
	struct bpf_timer timer;
	__u64 fired;
};

struct owner {
	struct task_struct __kptr *task;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct guarded);
} locks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct timed);
} timers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct owner);
} owners SEC(".maps");

static int fire(void *map, int *key, struct timed *value)
{
	value->fired++;
	bpf_timer_start(&value->timer, 1000000, 0);
	return 0;
}

SEC("tc")
int start(struct __sk_buff *ctx)
{
	__u32 zero = 0;
	struct timed *timed = bpf_map_lookup_elem(&timers, &zero);
	struct guarded *guarded = bpf_map_lookup_elem(&locks, &zero);

	if (timed) {
		bpf_timer_init(&timed->timer, &timers, CLOCK_MONOTONIC);
		bpf_timer_set_callback(&timed->timer, fire);
		bpf_timer_start(&timed->timer, 0, 0);
	}
	if (guarded) {
		bpf_spin_lock(&guarded->lock);
		guarded->count++;
		bpf_spin_unlock(&guarded->lock);
	}
	return 0;
}
