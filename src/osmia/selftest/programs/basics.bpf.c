/* Globals, calls, loops, packets, test runs: what every kernel of the last years has. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

char LICENSE[] SEC("license") = "GPL";

const volatile __u32 step = 1;
const volatile char greeting[8] = "unset";
__u64 total = 40;
__u64 runs;
__u64 hot SEC(".data.hot") = 7;
__s32 table[4] = {1, -2, 3, -4};

SEC("tc") int globals(struct __sk_buff *skb)
{
	runs++;
	total += step;
	hot *= 2;
	table[runs & 3] = -table[runs & 3];
	return greeting[0];
}

static __noinline int add(int a, int b)
{
	return a + b;
}

__noinline int twice(int a)
{
	return add(a, a);
}

SEC("tc") int calls(struct __sk_buff *skb)
{
	return twice(skb->len) + add(1, 2);
}

static long sum_up(__u32 index, __u64 *sum)
{
	*sum += index;
	return 0;
}

SEC("tc") int callbacks(struct __sk_buff *skb)
{
	__u64 sum = 0;

	bpf_loop(10, sum_up, &sum, 0);
	return sum;
}

SEC("xdp") int packets(struct xdp_md *context)
{
	void *data = (void *) (long) context->data, *end = (void *) (long) context->data_end;
	struct ethhdr *header = data;

	if (data + sizeof(*header) > end)
		return XDP_DROP;
	if (header->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	header->h_dest[0] = 0xff;
	return XDP_TX;
}

SEC("tc") int refused(struct __sk_buff *skb)
{
	return *(int *) (long) skb->len; /* a number is no pointer */
}
