/* CO-RE and externs: what an object learns about the kernel when it is loaded. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

/* Another order of members than the kernel's, so that offsets must really be relocated. */
struct task_struct___small {
	int tgid;
	int pid;
	struct task_struct___small *real_parent;
} __attribute__((preserve_access_index));

struct task_struct___odd {
	int never_heard_of;
} __attribute__((preserve_access_index));

struct never_heard_of___one { int x; } __attribute__((preserve_access_index));
enum bpf_map_type___odd { BPF_MAP_TYPE_NEVER_HEARD_OF = 1 };

int pid, tgid, parent;
int has_pid, has_odd, has_type, has_no_type, matches, has_value, has_no_value;
unsigned pid_size, task_size, value;
long offset;

SEC("raw_tp") int fields(void *context)
{
	struct task_struct___small *task = (void *) bpf_get_current_task();

	pid = BPF_CORE_READ(task, pid);
	tgid = BPF_CORE_READ(task, tgid);
	parent = BPF_CORE_READ(task, real_parent, tgid);
	return 0;
}

SEC("raw_tp") int questions(void *context)
{
	struct task_struct___odd *odd = (void *) bpf_get_current_task();

	has_pid = bpf_core_field_exists(struct task_struct, pid);
	has_odd = bpf_core_field_exists(odd->never_heard_of);
	if (has_odd)
		pid = odd->never_heard_of; /* cannot be relocated, and is not reached */
	pid_size = bpf_core_field_size(struct task_struct, pid);
	offset = bpf_core_field_offset(struct task_struct, pid);
	has_type = bpf_core_type_exists(struct task_struct);
	has_no_type = bpf_core_type_exists(struct never_heard_of___one);
	matches = bpf_core_type_matches(struct list_head);
	task_size = bpf_core_type_size(struct task_struct);
	has_value = bpf_core_enum_value_exists(enum bpf_map_type, BPF_MAP_TYPE_HASH);
	has_no_value = bpf_core_enum_value_exists(enum bpf_map_type___odd,
						  BPF_MAP_TYPE_NEVER_HEARD_OF);
	value = bpf_core_enum_value(enum bpf_map_type, BPF_MAP_TYPE_RINGBUF);
	return 0;
}

extern int LINUX_KERNEL_VERSION __kconfig;
extern bool CONFIG_BPF_SYSCALL __kconfig __weak;
extern unsigned CONFIG_NEVER_HEARD_OF __kconfig __weak;

int version, configured, unknown;

SEC("raw_tp") int configuration(void *context)
{
	version = LINUX_KERNEL_VERSION;
	configured = CONFIG_BPF_SYSCALL;
	unknown = CONFIG_NEVER_HEARD_OF;
	return 0;
}

extern const void schedule __ksym;
extern const void never_heard_of __ksym __weak;

__u64 address, no_address;

SEC("raw_tp") int symbols(void *context)
{
	address = (__u64) &schedule;
	no_address = (__u64) &never_heard_of;
	return 0;
}

SEC("iter/task") int list_tasks(struct bpf_iter__task *context)
{
	struct seq_file *out = context->meta->seq;
	struct task_struct *task = context->task;

	if (task)
		BPF_SEQ_PRINTF(out, "%d %s\n", task->pid, task->comm);
	return 0;
}
