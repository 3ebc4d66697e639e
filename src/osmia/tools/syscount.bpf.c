// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* System calls are counted when they return; to know how long they take, their entry is needed, too. */
#include "tool.bpf.h"

struct counted {
	__u64 calls;
	__u64 failed;
	__u64 ns;
};

/* Each CPU counts for itself, so that none waits for another; Python adds them up. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32); /* a system call, or a process */
	__type(value, struct counted);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH); /* of exit(2) the end is never seen */
	__uint(max_entries, 65536);
	__type(key, __u32); /* thread */
	__type(value, __u64); /* when it called */
} starts SEC(".maps");

const volatile __u32 only_pid;
const volatile bool by_process;

SEC("tp/raw_syscalls/sys_enter")
int entered(struct trace_event_raw_sys_enter *ctx)
{
	__u64 id = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();
	__u32 thread = id;

	if (!only_pid || only_pid == id >> 32)
		bpf_map_update_elem(&starts, &thread, &now, BPF_ANY);
	return 0;
}

SEC("tp/raw_syscalls/sys_exit")
int left(struct trace_event_raw_sys_exit *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 thread = id, key = by_process ? id >> 32 : ctx->id;
	struct counted none = {}, *found;

	if ((only_pid && only_pid != id >> 32) || ctx->id < 0) /* a signal's return */
		return 0;
	bpf_map_update_elem(&counts, &key, &none, BPF_NOEXIST);
	found = bpf_map_lookup_elem(&counts, &key);
	if (!found)
		return 0; /* no room */
	found->calls++;
	found->failed += ctx->ret < 0 && ctx->ret >= -4095;
	__u64 *start = bpf_map_lookup_elem(&starts, &thread);
	if (start) {
		found->ns += bpf_ktime_get_ns() - *start;
		bpf_map_delete_elem(&starts, &thread);
	}
	return 0;
}
