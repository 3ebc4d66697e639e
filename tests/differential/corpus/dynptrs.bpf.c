// Dynamic pointers: packets, ring buffer records and memory behind one kind of pointer.
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *ptr) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, __u64 offset, void *buffer,
			      __u64 size) __ksym;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8192);
} events SEC(".maps");

__u64 seen;

SEC("tc")
int packet(struct __sk_buff *ctx)
{
	struct bpf_dynptr data, record;
	__u8 buffer[14], *header;

	if (bpf_dynptr_from_skb(ctx, 0, &data))
		return 0;
	header = bpf_dynptr_slice(&data, 0, buffer, sizeof(buffer));
	if (!header)
		return 0;
	seen += header[12];
	if (bpf_ringbuf_reserve_dynptr(&events, ctx->len & 255, 0, &record)) {
		bpf_ringbuf_discard_dynptr(&record, 0);
		return 0;
	}
	bpf_dynptr_write(&record, 0, buffer, 8, 0);
	bpf_ringbuf_submit_dynptr(&record, 0);
	return 0;
}
