// Externs: kernel variables with a type, per-CPU ones, weak ones that are missing.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern const struct rq runqueues __ksym;
extern const int bpf_prog_active __ksym __weak;
extern const int cpu_number __ksym;
extern const struct rq queues_of_no_kernel __ksym __weak;

__u64 seen[4];

SEC("raw_tp/sys_enter")
int variables(void *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id();
	const struct rq *queue = bpf_per_cpu_ptr(&runqueues, cpu);
	int *number = bpf_this_cpu_ptr(&cpu_number);

	if (queue)
		seen[0] = queue->cpu;
	seen[1] = *number;
	if (&queues_of_no_kernel) {
		queue = bpf_per_cpu_ptr(&queues_of_no_kernel, cpu);
		if (queue)
			seen[2] = queue->nr_running;
	}
	seen[3] = bpf_ksym_exists(&bpf_prog_active);
	return 0;
}
