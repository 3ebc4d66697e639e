// Externs: what libbpf itself answers: the kernel's version and two of its abilities.
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern int LINUX_KERNEL_VERSION __kconfig;
extern bool LINUX_HAS_BPF_COOKIE __kconfig;
extern bool LINUX_HAS_SYSCALL_WRAPPER __kconfig;
extern bool LINUX_HAS_TELEPATHY __kconfig __weak;

__u64 seen[4];

SEC("raw_tp/sched_switch")
int versions(void *ctx)
{
	seen[0] = LINUX_KERNEL_VERSION;
	seen[1] = LINUX_HAS_BPF_COOKIE;
	seen[2] = LINUX_HAS_SYSCALL_WRAPPER;
	if (LINUX_HAS_TELEPATHY)
		seen[3] = 1;
	return 0;
}

SEC("kprobe/vfs_read")
int gate(void *ctx)
{
	if (LINUX_KERNEL_VERSION >= KERNEL_VERSION(5, 15, 0) && LINUX_HAS_BPF_COOKIE)
		seen[3] = bpf_get_attach_cookie(ctx);
	return 0;
}
