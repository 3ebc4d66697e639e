/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What all tools have in common. */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

/* What is needed of the tracepoints of system calls; where it is, CO-RE finds out. */
struct trace_event_raw_sys_enter {
	long id;
	unsigned long args[6];
} __attribute__((preserve_access_index));

struct trace_event_raw_sys_exit {
	long id;
	long ret;
} __attribute__((preserve_access_index));
