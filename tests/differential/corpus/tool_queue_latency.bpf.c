// A tool: how long tasks wait for a CPU, as histograms by process and by CPU.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

#define SLOTS 26
#define TASK_RUNNING 0

struct histogram { __u32 slots[SLOTS]; char command[16]; };

const volatile bool by_process = false;
const volatile bool in_milliseconds = false;

struct task_struct___o { volatile long state; } __attribute__((preserve_access_index));

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, __u64);
} since SEC(".maps");

static struct histogram zero;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, struct histogram);
} histograms SEC(".maps");

static __always_inline __u32 log2_of(__u64 value)
{
	__u32 result = 0;

	for (int shift = 32; shift; shift >>= 1)
		if (value >> shift) {
			value >>= shift;
			result += shift;
		}
	return result;
}

static __always_inline long state_of(struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return BPF_CORE_READ(task, __state);
	return BPF_CORE_READ((struct task_struct___o *)task, state);
}

static int enqueue(__u32 tgid, __u32 pid)
{
	__u64 now = bpf_ktime_get_ns();

	if (pid)
		bpf_map_update_elem(&since, &pid, &now, 0);
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(wakeup, struct task_struct *task)
{
	return enqueue(task->tgid, task->pid);
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(wakeup_new, struct task_struct *task)
{
	return enqueue(task->tgid, task->pid);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switched, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct histogram *histogram;
	__u32 pid = next->pid, key = -1, slot;
	__u64 *from;
	__s64 delta;

	if (state_of(prev) == TASK_RUNNING)
		enqueue(BPF_CORE_READ(prev, tgid), BPF_CORE_READ(prev, pid));
	from = bpf_map_lookup_elem(&since, &pid);
	if (!from)
		return 0;
	delta = bpf_ktime_get_ns() - *from;
	bpf_map_delete_elem(&since, &pid);
	if (delta < 0)
		return 0;
	if (by_process)
		key = next->tgid;
	bpf_map_update_elem(&histograms, &key, &zero, BPF_NOEXIST);
	histogram = bpf_map_lookup_elem(&histograms, &key);
	if (!histogram)
		return 0;
	bpf_probe_read_kernel_str(&histogram->command, sizeof(histogram->command), next->comm);
	slot = log2_of(in_milliseconds ? delta / 1000000 : delta / 1000);
	if (slot >= SLOTS)
		slot = SLOTS - 1;
	__sync_fetch_and_add(&histogram->slots[slot], 1);
	return 0;
}
