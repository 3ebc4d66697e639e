/* Attached to things that the test does itself: calls of its own C library, its own forks. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>

char LICENSE[] SEC("license") = "GPL";

int only;
long calls, value;
__u64 cookie;

static __always_inline bool ours(void)
{
	return bpf_get_current_pid_tgid() >> 32 == only;
}

static __always_inline int note(void *context)
{
	if (ours()) {
		calls++;
		cookie = bpf_get_attach_cookie(context);
	}
	return 0;
}

SEC("uprobe") int user(struct pt_regs *context)
{
	value = PT_REGS_PARM1(context);
	return note(context);
}

SEC("uretprobe") int user_return(struct pt_regs *context)
{
	value = PT_REGS_RC(context);
	return note(context);
}

SEC("uprobe.multi") int users(struct pt_regs *context) { return note(context); }
SEC("uprobe.session") int session(struct pt_regs *context) { return note(context); }
SEC("tp/syscalls/sys_enter_getpgid") int tracepoint(void *context) { return note(context); }
SEC("ksyscall/getpgid") int system_call(struct pt_regs *context) { return note(context); }
SEC("kretsyscall/getpgid") int system_call_return(struct pt_regs *context) { return note(context); }
SEC("kprobe.multi") int kernel_functions(struct pt_regs *context) { return note(context); }

SEC("raw_tp/sys_enter") int raw_tracepoint(struct bpf_raw_tracepoint_args *context)
{
	if (ours() && context->args[1] == value)
		calls++;
	return 0;
}

SEC("fentry/bpf_fentry_test1") int BPF_PROG(entry, int a)
{
	value = a;
	calls++;
	return 0;
}

SEC("fexit/bpf_fentry_test1") int BPF_PROG(leave, int a, int result)
{
	value = result;
	calls++;
	return 0;
}

SEC("usdt") int BPF_USDT(mark, int parameter, int argument)
{
	if (ours()) {
		calls++;
		cookie = bpf_usdt_cookie(ctx);
		value = argument;
	}
	return 0;
}

SEC("perf_event") int clock(void *context)
{
	calls++;
	return 0;
}
