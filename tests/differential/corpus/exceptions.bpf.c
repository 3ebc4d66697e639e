// Exceptions: assertions that throw, a callback of its own, and one program with the default.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern void bpf_throw(__u64 cookie) __ksym;

__u64 thrown;

static __noinline int check(__u64 value)
{
	if (value > 1000)
		bpf_throw(value);
	return value;
}

__noinline int on_exception(__u64 cookie)
{
	return thrown == cookie;
}

SEC("tc")
__attribute__((btf_decl_tag("exception_callback:on_exception")))
int with_callback(struct __sk_buff *ctx)
{
	return check(ctx->len);
}

SEC("tc")
int without(struct __sk_buff *ctx)
{
	if (ctx->mark == 7)
		bpf_throw(7);
	return 0;
}
