// Maps: storage that hangs on sockets, tasks, inodes and control groups.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define STORAGE(name, kind)                          \
	struct {                                     \
		__uint(type, BPF_MAP_TYPE_##kind);   \
		__uint(map_flags, BPF_F_NO_PREALLOC); \
		__type(key, int);                    \
		__type(value, __u64);                \
	} name SEC(".maps")

STORAGE(of_sockets, SK_STORAGE);
STORAGE(of_tasks, TASK_STORAGE);

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, __u64);
} of_group SEC(".maps");

SEC("cgroup_skb/egress")
int count(struct __sk_buff *ctx)
{
	__u64 *bytes = bpf_get_local_storage(&of_group, 0);

	__sync_fetch_and_add(bytes, ctx->len);
	return 1;
}

SEC("tp_btf/sched_switch")
int switched(__u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 *times = bpf_task_storage_get(&of_tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (times)
		(*times)++;
	return 0;
}
