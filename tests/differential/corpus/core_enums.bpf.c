// CO-RE: enumerators of the kernel's, by value and existence, flavours and missing ones.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

enum bpf_map_type___ours {
	BPF_MAP_TYPE_RINGBUF___ours = 9999,
	BPF_MAP_TYPE_OF_NO_KERNEL = 7,
};

enum bpf_stats_type___negative {
	BPF_STATS_RUN_TIME___negative = -1,
};

enum enumeration_of_no_kernel {
	NOTHING = 3,
};

__u64 values[16];

SEC("raw_tp/sched_switch")
int enums(void *ctx)
{
	values[0] = bpf_core_enum_value(enum bpf_map_type, BPF_MAP_TYPE_ARRAY);
	values[1] = bpf_core_enum_value(enum bpf_map_type___ours, BPF_MAP_TYPE_RINGBUF___ours);
	values[2] = bpf_core_enum_value_exists(enum bpf_map_type___ours, BPF_MAP_TYPE_OF_NO_KERNEL);
	if (bpf_core_enum_value_exists(enum bpf_map_type___ours, BPF_MAP_TYPE_OF_NO_KERNEL))
		values[3] = bpf_core_enum_value(enum bpf_map_type___ours, BPF_MAP_TYPE_OF_NO_KERNEL);
	values[4] = bpf_core_enum_value(enum bpf_stats_type___negative, BPF_STATS_RUN_TIME___negative);
	values[5] = bpf_core_enum_value_exists(enum enumeration_of_no_kernel, NOTHING);
	values[6] = bpf_core_type_exists(enum enumeration_of_no_kernel);
	values[7] = bpf_core_type_size(enum bpf_map_type);
	values[8] = bpf_core_enum_value(enum pid_type, PIDTYPE_TGID);
	return 0;
}
