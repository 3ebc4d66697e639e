// CO-RE: 64-bit enumerators on either side: ours against the kernel's of 64 and of 32 bits.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

enum perf_callchain_context___ours {
	PERF_CONTEXT_KERNEL___ours = 0x1122334455667788ULL,
	PERF_CONTEXT_USER___ours = 1,
	PERF_CONTEXT_OF_NONE = 2,
};

/* 64 bits here, 32 in the kernel. */
enum bpf_map_type___wide {
	BPF_MAP_TYPE_HASH___wide = 1ULL << 40,
};

/* 32 bits here, 64 in the kernel. */
enum perf_callchain_context___narrow {
	PERF_CONTEXT_GUEST___narrow = 5,
};

__u64 values[8];

SEC("raw_tp/sched_switch")
int enums(void *ctx)
{
	values[0] = bpf_core_enum_value(enum perf_callchain_context___ours, PERF_CONTEXT_KERNEL___ours);
	values[1] = bpf_core_enum_value(enum perf_callchain_context___ours, PERF_CONTEXT_USER___ours);
	values[2] = bpf_core_enum_value_exists(enum perf_callchain_context___ours, PERF_CONTEXT_OF_NONE);
	values[3] = bpf_core_enum_value(enum bpf_map_type___wide, BPF_MAP_TYPE_HASH___wide);
	values[4] = bpf_core_enum_value_exists(enum perf_callchain_context___narrow,
					       PERF_CONTEXT_GUEST___narrow);
	values[5] = bpf_core_type_exists(enum perf_callchain_context);
	return 0;
}
