/* Printing on kernels without global data: the format is built on the stack. */
#define BPF_NO_GLOBAL_DATA 1
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket")
int print(struct __sk_buff *skb)
{
	bpf_printk("len %d", skb->len);
	bpf_printk("none");
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
