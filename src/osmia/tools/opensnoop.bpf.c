// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* A system call's arguments are known at its entry, its answer at its exit: a map joins the two. */
#include "stream.bpf.h"

struct opened {
	__u32 pid;
	__s32 result;
	char process[16];
	char path[256];
};

EVENTS_ARE(struct opened);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32); /* thread */
	__type(value, __u64); /* where its path is */
} paths SEC(".maps");

const volatile __u32 only_pid;
const volatile bool only_failed;

static int entered(__u64 path)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 thread = id;

	if (!only_pid || only_pid == id >> 32)
		bpf_map_update_elem(&paths, &thread, &path, BPF_ANY);
	return 0;
}

static int left(long result)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 thread = id;
	__u64 *path = bpf_map_lookup_elem(&paths, &thread);

	if (!path)
		return 0;
	struct opened *event = result < 0 || !only_failed ? NEW_EVENT(struct opened) : NULL;
	if (event) {
		event->pid = id >> 32;
		event->result = result;
		bpf_get_current_comm(event->process, sizeof(event->process));
		/* Now, not at the entry, where nobody may have touched its page yet. */
		if (bpf_probe_read_user_str(event->path, sizeof(event->path), (void *) *path) < 0)
			event->path[0] = 0;
		bpf_ringbuf_submit(event, 0);
	}
	bpf_map_delete_elem(&paths, &thread);
	return 0;
}

#define TRACED(call, argument)                                  \
	SEC("tp/syscalls/sys_enter_" #call)                     \
	int enter_##call(struct trace_event_raw_sys_enter *ctx) \
	{                                                       \
		return entered(ctx->args[argument]);            \
	}                                                       \
	SEC("tp/syscalls/sys_exit_" #call)                      \
	int exit_##call(struct trace_event_raw_sys_exit *ctx)   \
	{                                                       \
		return left(ctx->ret);                          \
	}

TRACED(open, 0) /* not on arm64 and riscv */
TRACED(openat, 1)
TRACED(openat2, 1) /* since 5.6 */
