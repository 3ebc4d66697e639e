// Loops: bounded ones, open-coded iterators, may_goto, and one that calls itself back.
// cpu: v4
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_experimental.h>

char LICENSE[] SEC("license") = "GPL";

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym __weak;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym __weak;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym __weak;

__u64 sums[4];

SEC("tc")
int iterate(struct __sk_buff *ctx)
{
	struct bpf_iter_num it;
	int *each;

	bpf_iter_num_new(&it, 0, 1000);
	while ((each = bpf_iter_num_next(&it)))
		sums[0] += *each;
	bpf_iter_num_destroy(&it);
	for (int i = 0; i < 64; i++)
		sums[1] += i * ctx->len;
	return 0;
}

SEC("tc")
int until(struct __sk_buff *ctx)
{
	__u64 x = ctx->len;

	while (x != 1 && can_loop) {
		x = x & 1 ? 3 * x + 1 : x / 2;
		sums[2]++;
	}
	return 0;
}
