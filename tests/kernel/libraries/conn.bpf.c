#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct flow {
    __u32 packets;
    __u32 bytes;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 8);
    __type(key, __u32);
    __type(value, struct flow);
} flows SEC(".maps");

__u64 lookups;
const volatile int limit = 5;
int level SEC(".data.custom") = 3;

__attribute__((noinline)) int conn_lookup(struct xdp_md *ctx, __u32 key)
{
    if (!ctx)
        return 0;
    struct flow *flow = bpf_map_lookup_elem(&flows, &key);
    __sync_fetch_and_add(&lookups, 1);
    return flow ? flow->packets : limit + level;
}

SEC("xdp") int ingress(struct xdp_md *ctx)
{
    return conn_lookup(ctx, 3);
}
