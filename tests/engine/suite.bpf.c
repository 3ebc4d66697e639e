/* What the suite loads into every engine. `first` and `second` count when the process `watched`
 * calls getpgid. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#if defined(__TARGET_ARCH_arm64)
#define GETPGID 155
#else
#define GETPGID 121
#endif

char LICENSE[] SEC("license") = "GPL";

const volatile __u32 longest = 100; /* bytes; longer packets are dropped */
__u64 packets;
__u64 calls;
__u32 watched; /* a process id */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} sizes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} totals SEC(".maps");

/* The first byte of what passes becomes 0xAB. */
SEC("xdp")
int ingress(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 size = end - data, index = 0;
	__u64 *total = bpf_map_lookup_elem(&totals, &index);

	packets++;
	if (total)
		*total += size;
	if (data + 14 > end || size > longest)
		return XDP_DROP;
	data[0] = 0xAB;
	return XDP_PASS;
}

struct sum {
	__u64 left, right, result;
};

SEC("syscall")
int add(struct sum *sum)
{
	sum->result = sum->left + sum->right;
	return 7;
}

static int watch(__u64 number)
{
	if (bpf_get_current_pid_tgid() >> 32 == watched && number == GETPGID)
		calls++;
	return 0;
}

SEC("raw_tp/sys_enter")
int first(struct bpf_raw_tracepoint_args *ctx)
{
	return watch(ctx->args[1]);
}

SEC("raw_tp/sys_enter")
int second(struct bpf_raw_tracepoint_args *ctx)
{
	return watch(ctx->args[1]);
}

SEC("?xdp")
int other(struct xdp_md *ctx)
{
	return XDP_TX;
}
