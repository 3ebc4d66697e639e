// CO-RE: types that match in all that they say, and some that do not.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct task_struct___fits {
	int pid;
	int tgid;
	char comm[16];
};

struct task_struct___wrong_type {
	__u64 pid;
};

struct task_struct___short_array {
	char comm[8];
};

struct task_struct___pointer {
	struct mm_struct *mm;
	struct task_struct *real_parent;
};

struct mm_struct___declared;
struct task_struct___missing {
	int warp_drive;
};

enum bpf_map_type___few {
	BPF_MAP_TYPE_HASH___few = 1,
	BPF_MAP_TYPE_ARRAY___few = 77,
};

enum bpf_map_type___extra {
	BPF_MAP_TYPE_HASH___extra = 1,
	BPF_MAP_TYPE_OF_PAPER___extra = 2,
};

typedef __u64 (*bpf_callback_t___same)(__u64, __u64, __u64, __u64, __u64);
typedef __u64 (*bpf_callback_t___narrow)(__u32, __u64, __u64, __u64, __u64);

struct list_head___exact {
	struct list_head *next, *prev;
};

bool matches[16];

SEC("raw_tp/sched_switch")
int type_matches(void *ctx)
{
	matches[0] = bpf_core_type_matches(struct task_struct);
	matches[1] = bpf_core_type_matches(struct task_struct___fits);
	matches[2] = bpf_core_type_matches(struct task_struct___wrong_type);
	matches[3] = bpf_core_type_matches(struct task_struct___short_array);
	matches[4] = bpf_core_type_matches(struct task_struct___pointer);
	matches[5] = bpf_core_type_matches(struct task_struct___missing);
	matches[6] = bpf_core_type_matches(enum bpf_map_type___few);
	matches[7] = bpf_core_type_matches(enum bpf_map_type___extra);
	matches[8] = bpf_core_type_matches(bpf_callback_t___same);
	matches[9] = bpf_core_type_matches(bpf_callback_t___narrow);
	matches[10] = bpf_core_type_matches(struct list_head___exact);
	matches[11] = bpf_core_type_matches(union bpf_attr);
	matches[12] = bpf_core_type_matches(pid_t);
	matches[13] = bpf_core_type_matches(struct sk_buff);
	return 0;
}
