/* Every question that CO-RE answers about the running kernel. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

struct task_struct___older {
	long state;
	struct {
		int nowhere;
	} gone;
} __attribute__((preserve_access_index));

struct no_such_thing {
	int x;
};

enum no_such_enum {
	NO_SUCH_VALUE = 7,
};

typedef int (*handler_t)(struct task_struct *);

struct answers {
	u32 exists[8];
	u32 sizes[4];
	u64 ids[2];
	u64 values[3];
} answers;

SEC("raw_tp/sched_switch")
int BPF_PROG(ask, bool preempt, struct task_struct *previous, struct task_struct *next)
{
	struct task_struct___older *older = (void *) next;

	answers.exists[0] = bpf_core_field_exists(next->pid);
	answers.exists[1] = bpf_core_field_exists(older->state);
	answers.exists[2] = bpf_core_field_exists(struct task_struct___older, gone.nowhere);
	answers.exists[3] = bpf_core_type_exists(struct no_such_thing);
	answers.exists[4] = bpf_core_type_exists(pid_t);
	answers.exists[5] = bpf_core_enum_value_exists(enum bpf_map_type, BPF_MAP_TYPE_ARENA);
	answers.exists[6] = bpf_core_enum_value_exists(enum no_such_enum, NO_SUCH_VALUE);
	answers.exists[7] = bpf_core_type_matches(struct path);
	answers.sizes[0] = bpf_core_field_size(struct task_struct, comm);
	answers.sizes[1] = bpf_core_field_size(next->thread_info.flags);
	answers.sizes[2] = bpf_core_type_size(struct task_struct);
	answers.sizes[3] = bpf_core_field_offset(struct task_struct, pid);
	answers.ids[0] = bpf_core_type_id_local(struct answers);
	answers.ids[1] = bpf_core_type_id_kernel(struct task_struct);
	answers.values[0] = bpf_core_enum_value(enum bpf_map_type, BPF_MAP_TYPE_RINGBUF);
	if (bpf_core_field_exists(older->state))
		answers.values[1] = BPF_CORE_READ(older, state);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
