/* SPDX-License-Identifier: Apache-2.0 */
/* One of everything that a front end reads, for the tests that break it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char _license[] SEC("license") = "GPL";
extern unsigned long CONFIG_HZ __kconfig;
extern const void bpf_prog_active __ksym __weak;

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
} first SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, int);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { &first, 0, &first } };

int packets(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, int);
	__array(values, int(struct __sk_buff *));
} jumps SEC(".maps") = { .values = { [1] = (void *)&packets } };

struct task_struct {
	int tgid;
} __attribute__((preserve_access_index));

struct callbacks {
	int (*called)(int);
	int number;
};

int data = 5;
const volatile int constant = 3;
int zero;

static __noinline int step(int index, void *unused)
{
	zero++;
	return 0;
}

SEC("tc") int packets(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &jumps, 1);
	bpf_loop(3, step, 0, 0);
	return data + constant + CONFIG_HZ + (&bpf_prog_active ? 1 : 0);
}

SEC("raw_tp/sys_enter") int task(void *ctx)
{
	return BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), tgid);
}

SEC("struct_ops/called") int called(unsigned long long *ctx)
{
	return 2;
}

SEC(".struct_ops.link") struct callbacks operations = { .called = (void *)called, .number = 1 };
