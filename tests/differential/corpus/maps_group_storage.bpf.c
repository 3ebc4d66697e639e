// Maps: storage of control groups as one object each (since 6.2).
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_CGRP_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct list_head);
} of_groups SEC(".maps");

SEC("tp_btf/sched_switch")
int switched(__u64 *ctx)
{
	return 0;
}
