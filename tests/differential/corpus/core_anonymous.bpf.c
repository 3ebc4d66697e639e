// CO-RE: members of anonymous structs and unions, nested ones too, moved to other depths.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

/* Flat here, inside a union inside a struct in the kernel. */
struct sock___flat {
	struct {
		unsigned short skc_family;
		__be32 skc_daddr;
		__be16 skc_dport;
	} __sk_common;
} __attribute__((preserve_access_index));

struct sk_buff___nested {
	union {
		struct {
			union {
				struct net_device *dev;
				unsigned long dev_scratch;
			};
		};
	};
} __attribute__((preserve_access_index));

__u64 out[8];

SEC("raw_tp/sched_switch")
int anonymous(struct bpf_raw_tracepoint_args *ctx)
{
	struct sock___flat *flat = (void *)ctx->args[0];
	struct sk_buff___nested *nested = (void *)ctx->args[0];
	struct sock *sk = (void *)ctx->args[0];
	struct page *page = (void *)ctx->args[0];

	out[0] = BPF_CORE_READ(flat, __sk_common.skc_daddr);
	out[1] = BPF_CORE_READ(flat, __sk_common.skc_dport);
	out[2] = BPF_CORE_READ(flat, __sk_common.skc_family);
	out[3] = bpf_core_field_offset(nested->dev);
	out[4] = BPF_CORE_READ(sk, __sk_common.skc_num);
	out[5] = bpf_core_field_offset(page->mapping);
	out[6] = bpf_core_field_exists(nested->dev_scratch);
	return 0;
}
