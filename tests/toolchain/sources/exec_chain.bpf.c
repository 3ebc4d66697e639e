/* A new process and its parents: typed tracepoint arguments, chains of relocated reads. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

struct event {
	pid_t pid;
	pid_t parent;
	u32 cgroup_level;
	u64 start_boottime;
	u64 args_bytes;
	char comm[16];
	char file[64];
	char mount_type[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} events SEC(".maps");

static void fill(struct event *event, struct task_struct *task, struct linux_binprm *binary)
{
	const char *file;

	event->pid = BPF_CORE_READ(task, tgid);
	event->parent = BPF_CORE_READ(task, real_parent, tgid);
	event->start_boottime = BPF_CORE_READ(task, start_time);
	event->cgroup_level = BPF_CORE_READ(task, cgroups, dfl_cgrp, level);
	event->args_bytes = BPF_CORE_READ(task, mm, arg_end) - BPF_CORE_READ(task, mm, arg_start);
	BPF_CORE_READ_STR_INTO(&event->comm, task, group_leader, comm);
	BPF_CORE_READ_STR_INTO(&event->mount_type, binary, file, f_path.dentry, d_inode, i_sb, s_type,
			       name);
	file = BPF_CORE_READ(binary, filename);
	bpf_core_read_str(event->file, sizeof(event->file), file);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *binary)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return 0;
	__builtin_memset(event, 0, sizeof(*event));
	fill(event, task, binary);
	if (old_pid != event->pid)
		event->pid = old_pid;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	int code = 0;

	BPF_CORE_READ_INTO(&code, task, group_leader, exit_code);
	bpf_printk("exit %d", code >> 8);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
