/* Programs for links of several kinds, and code to list: lines, calls, maps, globals. */
#include "zoo.h"

ARRAY_OF(seen, __u64, 2);
__u64 total;

static __attribute__((noinline)) int count(__u32 key)
{
	__u64 *found = bpf_map_lookup_elem(&seen, &key);

	if (!found)
		return 0;
	total += *found;
	return __sync_fetch_and_add(found, 1);
}

SEC("raw_tp/sys_enter") int entered(void *ctx) { return count(0); }
SEC("tp/syscalls/sys_enter_getpid") int traced(void *ctx) { return count(1); }
SEC("xdp") int received(struct xdp_md *ctx)
{
	count(ctx->rx_queue_index);
	return XDP_PASS;
}
SEC("tcx/ingress") int classified(struct __sk_buff *skb) { return 0; }
SEC("cgroup_skb/egress") int sent(struct __sk_buff *skb) { return 1; }
SEC("iter/task") int tasks(void *ctx) { return 0; }
SEC("sk_lookup") int looked_up(struct bpf_sk_lookup *ctx) { return 1; }
SEC("netfilter") int filtered(void *ctx) { return 1; }
SEC("perf_event") int sampled(void *ctx) { return 0; }
SEC("tp_btf/sys_enter") int typed(__u64 *ctx) { return 0; }
SEC("uprobe") int probed(void *ctx) { return 0; }
SEC("uretprobe") int returned(void *ctx) { return 0; }
SEC("uprobe.multi") int several(void *ctx) { return 0; }
