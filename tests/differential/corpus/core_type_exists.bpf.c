// CO-RE: whether types exist, by kind: structs, unions, enums, typedefs of this and that.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct sk_buff___whatever {
	int none;
};

struct bpf_attr___struct {	/* a union in the kernel */
	int x;
};

typedef struct task_struct *pid_t___pointer;
typedef __u64 (*bpf_callback_t___same)(__u64, __u64, __u64, __u64, __u64);
typedef void (*bpf_callback_t___fewer)(__u64);
typedef struct { int counter; } atomic_t___struct;
typedef int atomic_t___int;

bool exists[16];

SEC("raw_tp/sched_switch")
int type_exists(void *ctx)
{
	exists[0] = bpf_core_type_exists(struct task_struct);
	exists[1] = bpf_core_type_exists(union bpf_attr);
	exists[2] = bpf_core_type_exists(struct bpf_attr___struct);
	exists[3] = bpf_core_type_exists(pid_t);
	exists[4] = bpf_core_type_exists(pid_t___pointer);
	exists[5] = bpf_core_type_exists(bpf_callback_t___same);
	exists[6] = bpf_core_type_exists(bpf_callback_t___fewer);
	exists[7] = bpf_core_type_exists(atomic_t___struct);
	exists[8] = bpf_core_type_exists(atomic_t___int);
	exists[9] = bpf_core_type_exists(enum pid_type);
	exists[10] = bpf_core_type_exists(struct sk_buff___whatever);
	return 0;
}
