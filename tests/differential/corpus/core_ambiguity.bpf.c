// CO-RE: names that several of the kernel's types have, where all give the same answer.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

/* The kernel has two of these that differ behind the first members. */
struct getdents_callback___first {
	struct dir_context ctx;
} __attribute__((preserve_access_index));

struct dma_chan___any {
	struct dma_device *device;
} __attribute__((preserve_access_index));

struct console___any {
	char name[16];
} __attribute__((preserve_access_index));

__u64 out[6];

SEC("raw_tp/sched_switch")
int ambiguous(void *ctx)
{
	struct getdents_callback___first *dents = ctx;
	struct console___any *console = ctx;

	out[0] = bpf_core_field_offset(dents->ctx);
	out[1] = bpf_core_field_exists(console->name);
	out[2] = bpf_core_type_exists(struct dma_chan___any);
	out[3] = bpf_core_type_exists(struct getdents_callback___first);
	return 0;
}
