// CO-RE: sizes of types: larger here, smaller here, pointers, arrays behind typedefs, missing.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct sk_buff___small {
	int x;
};

union bpf_attr___huge {
	char room[100000];
};

typedef struct { long a, b, c; } atomic_t___large;

__u32 sizes[12];

SEC("raw_tp/sched_switch")
int type_sizes(void *ctx)
{
	sizes[0] = bpf_core_type_size(struct task_struct);
	sizes[1] = bpf_core_type_size(struct sk_buff___small);
	sizes[2] = bpf_core_type_size(union bpf_attr___huge);
	sizes[3] = bpf_core_type_size(atomic_t___large);
	sizes[4] = bpf_core_type_size(pid_t);
	sizes[5] = bpf_core_type_size(enum pid_type);
	sizes[6] = bpf_core_type_size(struct list_head);
	sizes[7] = bpf_core_type_size(spinlock_t);
	return 0;
}
