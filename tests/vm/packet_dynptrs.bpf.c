/* Dynptrs of packets: what each kfunc says for the numbers in skb->cb. */
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *ptr) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, __u64 offset, void *buffer,
			      __u64 size) __ksym;
extern int bpf_dynptr_adjust(const struct bpf_dynptr *ptr, __u64 start, __u64 end) __ksym;
extern bool bpf_dynptr_is_null(const struct bpf_dynptr *ptr) __ksym;
extern bool bpf_dynptr_is_rdonly(const struct bpf_dynptr *ptr) __ksym;
extern __u64 bpf_dynptr_size(const struct bpf_dynptr *ptr) __ksym;

__s64 made, is_null, read_only, size, was_read, was_written, first, adjusted, size_then;
__u8 read[8];

static __always_inline void look(struct __sk_buff *ctx)
{
	__u8 buffer[8] = {}, *slice;
	struct bpf_dynptr data;
	__u32 offset = ctx->cb[0];

	made = bpf_dynptr_from_skb(ctx, ctx->cb[4], &data);
	is_null = bpf_dynptr_is_null(&data);
	read_only = bpf_dynptr_is_rdonly(&data);
	size = bpf_dynptr_size(&data);
	was_read = bpf_dynptr_read(read, sizeof(read), &data, offset, ctx->cb[1]);
	was_written = bpf_dynptr_write(&data, offset, "written", 8, ctx->cb[2]);
	slice = bpf_dynptr_slice(&data, offset, buffer, sizeof(buffer));
	first = slice ? slice[0] : -1;
	adjusted = bpf_dynptr_adjust(&data, offset, ctx->cb[3]);
	size_then = bpf_dynptr_size(&data);
}

SEC("tc") int of_link(struct __sk_buff *ctx)
{
	look(ctx);
	return 0;
}

SEC("cgroup_skb/egress") int of_group(struct __sk_buff *ctx)
{
	look(ctx);
	return 1;
}
