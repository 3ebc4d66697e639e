/* Which process opened which file, and what came of it. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

const volatile bool only_failed;
const volatile __u32 only_pid;

struct opened {
	__u32 pid;
	__u32 parent;
	__s32 result;
	char process[16];
	char path[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);   /* thread */
	__type(value, __u64); /* where its path is */
} paths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
	__type(value, struct opened);
} events SEC(".maps");

SEC("tp/syscalls/sys_enter_openat")
int enter(struct trace_event_raw_sys_enter *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 thread = id;
	__u64 path = ctx->args[1];

	if (only_pid && only_pid != id >> 32)
		return 0;
	bpf_map_update_elem(&paths, &thread, &path, BPF_ANY);
	return 0;
}

SEC("tp/syscalls/sys_exit_openat")
int leave(struct trace_event_raw_sys_exit *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 id = bpf_get_current_pid_tgid();
	__u32 thread = id;
	__u64 *path = bpf_map_lookup_elem(&paths, &thread);
	struct opened *event;

	if (!path)
		return 0;
	if (!only_failed || ctx->ret < 0) {
		event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
		if (event) {
			event->pid = id >> 32;
			event->parent = BPF_CORE_READ(task, real_parent, tgid);
			event->result = ctx->ret;
			bpf_get_current_comm(event->process, sizeof(event->process));
			if (bpf_probe_read_user_str(event->path, sizeof(event->path),
						    (void *)*path) < 0)
				event->path[0] = 0;
			bpf_ringbuf_submit(event, 0);
		}
	}
	bpf_map_delete_elem(&paths, &thread);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
