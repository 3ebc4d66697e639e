/* Kernel objects kept in map values, locks, timers, casts to readable types. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

struct slot {
	struct task_struct __kptr *task;
	struct task_struct __kptr_untrusted *seen;
	struct bpf_spin_lock lock;
	struct bpf_timer timer;
	u64 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

extern struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;

pid_t parent;

SEC("tp_btf/task_newtask")
int BPF_PROG(on_new_task, struct task_struct *task, u64 clone_flags)
{
	u32 key = 0;
	struct slot *slot = bpf_map_lookup_elem(&slots, &key);
	struct task_struct *owned, *old;
	struct task_struct *readable;

	if (!slot)
		return 0;
	owned = bpf_task_acquire(task);
	if (!owned)
		return 0;
	old = bpf_kptr_xchg(&slot->task, owned);
	if (old)
		bpf_task_release(old);
	readable = bpf_core_cast((void *) (long) bpf_get_current_task(), struct task_struct);
	parent = readable->real_parent->pid;
	bpf_spin_lock(&slot->lock);
	slot->count++;
	bpf_spin_unlock(&slot->lock);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
