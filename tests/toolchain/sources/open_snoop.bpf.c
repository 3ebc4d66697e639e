/* Who opens which file: tracepoint contexts of vmlinux.h, a perf buffer, user strings. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define NAME_MAX 255

struct event {
	__u64 timestamp;
	__u32 pid;
	__u32 uid;
	int result;
	char comm[16];
	char path[NAME_MAX];
};

const volatile pid_t only_pid = 0;
const volatile bool failed_only = false;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, u32);
	__type(value, const char *);
} pending SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(u32));
} events SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_openat")
int enter_openat(struct trace_event_raw_sys_enter *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 thread = id;
	const char *path = (const char *) ctx->args[1];

	if (only_pid && only_pid != (pid_t) (id >> 32))
		return 0;
	bpf_map_update_elem(&pending, &thread, &path, BPF_ANY);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_openat")
int exit_openat(struct trace_event_raw_sys_exit *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 thread = id;
	struct event event = {};
	const char **path = bpf_map_lookup_elem(&pending, &thread);

	if (!path)
		return 0;
	event.result = ctx->ret;
	if (failed_only && event.result >= 0)
		goto done;
	event.timestamp = bpf_ktime_get_ns();
	event.pid = id >> 32;
	event.uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(event.comm, sizeof(event.comm));
	bpf_probe_read_user_str(event.path, sizeof(event.path), *path);
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event, sizeof(event));
done:
	bpf_map_delete_elem(&pending, &thread);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
