// Externs: kernel configuration values of every type that they may have, weak ones too.
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern bool CONFIG_BPF_SYSCALL __kconfig;
extern char CONFIG_BPF_JIT __kconfig;
extern bool CONFIG_OF_NO_KERNEL __kconfig __weak;
extern enum libbpf_tristate CONFIG_NET __kconfig;
extern enum libbpf_tristate CONFIG_VIRTIO_BLK __kconfig __weak;
extern enum libbpf_tristate CONFIG_OF_NO_KERNEL_EITHER __kconfig __weak;
extern int CONFIG_HZ __kconfig;
extern unsigned long CONFIG_PANIC_TIMEOUT __kconfig __weak;
extern short CONFIG_NR_CPUS __kconfig;
extern const unsigned long long CONFIG_PHYSICAL_START __kconfig __weak;
extern char CONFIG_LOCALVERSION[16] __kconfig __weak;
extern char CONFIG_CC_VERSION_TEXT[8] __kconfig;
extern char CONFIG_DEFAULT_HOSTNAME[64] __kconfig __weak;

__u64 seen[16];

SEC("raw_tp/sched_switch")
int config(void *ctx)
{
	seen[0] = CONFIG_BPF_SYSCALL;
	seen[1] = CONFIG_BPF_JIT;
	seen[2] = CONFIG_OF_NO_KERNEL;
	seen[3] = CONFIG_NET;
	seen[4] = CONFIG_VIRTIO_BLK;
	seen[5] = CONFIG_OF_NO_KERNEL_EITHER;
	seen[6] = CONFIG_HZ;
	seen[7] = CONFIG_PANIC_TIMEOUT;
	seen[8] = CONFIG_NR_CPUS;
	seen[9] = CONFIG_PHYSICAL_START;
	seen[10] = CONFIG_LOCALVERSION[0];
	seen[11] = CONFIG_CC_VERSION_TEXT[2];
	seen[12] = CONFIG_DEFAULT_HOSTNAME[1];
	return 0;
}
