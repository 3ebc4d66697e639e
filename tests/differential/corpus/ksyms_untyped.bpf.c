// Externs: addresses of kernel symbols without a type, strong and weak, there and missing.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern const void bpf_prog_fops __ksym;
extern const void __per_cpu_start __ksym __weak;
extern const void jiffies __ksym __weak;
extern const void symbol_of_no_kernel __ksym __weak;

__u64 seen[4];

SEC("raw_tp/sched_switch")
int addresses(void *ctx)
{
	seen[0] = (__u64)&bpf_prog_fops != 0;
	seen[1] = (__u64)&__per_cpu_start;
	seen[2] = (__u64)&jiffies != 0;
	seen[3] = (__u64)&symbol_of_no_kernel;
	return 0;
}
