/* Entry, return and system call probes with parameter lists; registers by name. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

u64 seen[16];

SEC("kprobe/do_unlinkat")
int BPF_KPROBE(on_unlink, int directory, struct filename *name)
{
	char path[32];

	BPF_CORE_READ_STR_INTO(&path, name, name);
	seen[0] = directory + path[0];
	return 0;
}

SEC("kretprobe/do_unlinkat")
int BPF_KRETPROBE(on_unlinked, long result)
{
	seen[1] = result;
	return 0;
}

SEC("kprobe/vfs_read")
int BPF_KPROBE(no_parameters)
{
	u64 from = 0;

	seen[2] = PT_REGS_PARM1(ctx) + PT_REGS_PARM2(ctx) + PT_REGS_PARM3(ctx) +
		  PT_REGS_PARM4(ctx) + PT_REGS_PARM5(ctx) + PT_REGS_PARM6(ctx);
	seen[3] = PT_REGS_IP(ctx) + PT_REGS_SP(ctx) + PT_REGS_FP(ctx) + PT_REGS_RC(ctx) +
		  PT_REGS_RET(ctx);
	seen[4] = PT_REGS_PARM1_CORE(ctx) + PT_REGS_PARM6_CORE(ctx) + PT_REGS_IP_CORE(ctx) +
		  PT_REGS_SP_CORE(ctx) + PT_REGS_RC_CORE(ctx);
	BPF_KPROBE_READ_RET_IP(from, ctx);
	seen[5] = from;
	return 0;
}

SEC("kprobe/__x64_sys_mmap")
int raw_system_call(struct pt_regs *ctx)
{
	struct pt_regs *regs = PT_REGS_SYSCALL_REGS(ctx);

	seen[6] = PT_REGS_PARM1_CORE_SYSCALL(regs) + PT_REGS_PARM2_CORE_SYSCALL(regs) +
		  PT_REGS_PARM3_CORE_SYSCALL(regs) + PT_REGS_PARM4_CORE_SYSCALL(regs) +
		  PT_REGS_PARM5_CORE_SYSCALL(regs) + PT_REGS_PARM6_CORE_SYSCALL(regs);
	return 0;
}

SEC("ksyscall/kill")
int BPF_KSYSCALL(on_kill, pid_t pid, int signal)
{
	seen[7] = pid + signal;
	return 0;
}

SEC("ksyscall/sendmsg")
int BPF_KSYSCALL(on_send, int fd, struct user_msghdr *message, unsigned int flags)
{
	char start[16];

	seen[9] = fd + flags + BPF_CORE_READ_USER(message, msg_iov, iov_len);
	BPF_CORE_READ_USER_INTO(&seen[10], message, msg_namelen);
	BPF_CORE_READ_USER_STR_INTO(&start, message, msg_iov, iov_base);
	seen[11] = start[0];
	return 0;
}

SEC("kprobe/vfs_write")
int BPF_KPROBE(many_parameters, void *a, const char *b, u8 c, long d, int e, size_t f)
{
	seen[8] = (u64) a + (u64) b + c + d + e + f;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
