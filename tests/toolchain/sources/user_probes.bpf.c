/* Probes in user space, written against the UAPI headers only: other register names. */
#include <linux/ptrace.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 128);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 127 * sizeof(__u64));
} stacks SEC(".maps");

struct request {
	struct header {
		int length;
		const char *name;
	} *header;
};

__u64 total, last_stack, cookie;
char name[32];

SEC("uprobe")
int BPF_UPROBE(allocate, unsigned long size)
{
	total += size;
	last_stack = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	cookie = bpf_get_attach_cookie(ctx);
	return 0;
}

SEC("uretprobe")
int BPF_URETPROBE(allocated, void *address)
{
	total ^= (unsigned long) address ^ PT_REGS_RC(ctx) ^ PT_REGS_SP(ctx);
	return 0;
}

SEC("uprobe")
int BPF_KPROBE(handle, struct request *request)
{
	total += BPF_PROBE_READ_USER(request, header, length);
	BPF_PROBE_READ_USER_STR_INTO(&name, request, header, name);
	BPF_PROBE_READ_USER_INTO(&total, request, header, name);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
