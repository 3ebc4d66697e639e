// Data: string literals in sections of their own (.rodata.str1.1), tables of numbers (.rodata.cst).
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static const __u32 table[16] = { 1, 4, 9, 16, 25, 36, 49, 64, 81, 100, 121, 144, 169, 196, 225, 256 };

SEC("tc")
int strings(struct __sk_buff *ctx)
{
	const char *names[] = { "first", "second", "a somewhat longer third string" };
	__u32 index = ctx->mark & 15;

	bpf_trace_printk("literal\n", sizeof("literal\n"));
	bpf_printk("mark %d", ctx->mark);
	if (index < 3)
		bpf_trace_printk(names[0], 6);
	return table[index];
}
