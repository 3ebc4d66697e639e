// A tool: which files are opened, by whom, with what result; filters set from user space.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

#define NAME_LENGTH 255

struct arguments { const char *path; int flags; };

struct event {
	__u64 when;
	__u32 uid;
	int result, flags;
	__u32 pid, parent;
	__u64 mount_ns, start;
	char command[16];
	char path[NAME_LENGTH];
};

const volatile __u64 min_ns = 0;
const volatile __u32 wanted_pid = 0;
const volatile bool failed_only = false;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, struct arguments);
} started SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct event);
} scratch SEC(".maps");

static __always_inline bool wanted(__u32 pid)
{
	return !wanted_pid || wanted_pid == pid;
}

SEC("tracepoint/syscalls/sys_enter_openat")
int enter(struct trace_event_raw_sys_enter *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 thread = id;
	struct arguments arguments = {};

	if (!wanted(id >> 32))
		return 0;
	arguments.path = (const char *)ctx->args[1];
	arguments.flags = (int)ctx->args[2];
	bpf_map_update_elem(&started, &thread, &arguments, 0);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_openat")
int leave(struct trace_event_raw_sys_exit *ctx)
{
	__u32 thread = bpf_get_current_pid_tgid(), zero = 0;
	struct arguments *arguments = bpf_map_lookup_elem(&started, &thread);
	struct task_struct *task = (void *)bpf_get_current_task();
	struct event *event = bpf_map_lookup_elem(&scratch, &zero);

	if (!arguments || !event)
		return 0;
	if (!failed_only || ctx->ret < 0) {
		event->when = bpf_ktime_get_ns();
		event->uid = bpf_get_current_uid_gid();
		event->result = ctx->ret;
		event->flags = arguments->flags;
		event->pid = BPF_CORE_READ(task, tgid);
		event->parent = BPF_CORE_READ(task, real_parent, tgid);
		event->mount_ns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
		event->start = BPF_CORE_READ(task, group_leader, start_time);
		bpf_get_current_comm(&event->command, sizeof(event->command));
		bpf_probe_read_user_str(event->path, sizeof(event->path), arguments->path);
		bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, event, sizeof(*event));
	}
	bpf_map_delete_elem(&started, &thread);
	return 0;
}
