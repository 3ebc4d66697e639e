/* Programs that continue in others: a prog array with initial values, constant slots. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

int second(struct __sk_buff *skb);
int third(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} steps SEC(".maps") = {
	.values = {
		[1] = (void *) &second,
		[2] = (void *) &third,
	},
};

__u32 path;

SEC("tc")
int third(struct __sk_buff *skb)
{
	path = path * 10 + 3;
	return TC_ACT_SHOT;
}

SEC("tc")
int second(struct __sk_buff *skb)
{
	path = path * 10 + 2;
	bpf_tail_call(skb, &steps, skb->len > 100 ? 2 : 3);
	return TC_ACT_OK;
}

SEC("tc")
int first(struct __sk_buff *skb)
{
	path = 1;
	if (skb->len > 50)
		bpf_tail_call_static(skb, &steps, 1);
	else
		bpf_tail_call_static(skb, &steps, 2);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
