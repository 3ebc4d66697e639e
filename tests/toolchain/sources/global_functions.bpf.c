/* Functions that the verifier checks on their own, with tags for their arguments. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct pair {
	int left, right;
};

int sum;

__noinline int add(struct pair *pair __arg_nonnull)
{
	return pair->left + pair->right;
}

__weak __noinline int identify(struct task_struct *task __arg_trusted __arg_nullable)
{
	return task ? task->pid : -1;
}

__weak int maybe(struct pair *pair)
{
	return pair ? pair->left : -1;
}

__hidden int inner(int x)
{
	return x * 3;
}

__weak __noinline int length(struct __sk_buff *skb __arg_ctx)
{
	return skb->len;
}

static __noinline int subprogram(struct pair *pair)
{
	barrier_var(pair);
	return pair->right + inner(pair->left);
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	struct pair pair = { .left = skb->len, .right = 2 };

	barrier();
	sum = add(&pair) + maybe(NULL) + maybe(&pair) + inner(4) + length(skb) + subprogram(&pair) +
	      identify(NULL);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
