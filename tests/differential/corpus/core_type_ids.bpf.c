// CO-RE: type ids, local and of the kernel, of every kind of type that has a name.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct btf_type___other_name_of_it_all {
	int none;
};

typedef int (*function_type)(struct task_struct *, int);

__u32 ids[16];

SEC("raw_tp/sched_switch")
int type_ids(void *ctx)
{
	ids[0] = bpf_core_type_id_local(struct task_struct);
	ids[1] = bpf_core_type_id_kernel(struct task_struct);
	ids[2] = bpf_core_type_id_kernel(union bpf_attr);
	ids[3] = bpf_core_type_id_kernel(enum bpf_map_type);
	ids[4] = bpf_core_type_id_kernel(pid_t);
	ids[5] = bpf_core_type_id_local(pid_t);
	ids[6] = bpf_core_type_id_local(function_type);
	ids[7] = bpf_core_type_id_kernel(struct btf_type___other_name_of_it_all);
	return 0;
}
