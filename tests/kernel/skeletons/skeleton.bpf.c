// What the tests of light skeletons run: data of all kinds, maps, a kfunc, attachments.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern int LINUX_KERNEL_VERSION __kconfig;

const volatile __u32 factor = 3;
const volatile __u8 table[2][3] = { { 1, 2, 3 }, { 4, 5, 6 } };
struct { __u8 small; __u64 large; } pair = { 1, 2 };
__u64 total;
static __u32 hidden = 5;
__u64 version;
__u64 entered;
int wanted;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

SEC("raw_tp/sys_enter")
int enter(void *ctx)
{
	if ((bpf_get_current_pid_tgid() >> 32) == wanted)
		__sync_fetch_and_add(&entered, 1);
	return 0;
}

SEC("syscall")
int sum(void *ctx)
{
	hidden++;
	version = LINUX_KERNEL_VERSION;
	total = factor * (pair.small + pair.large) + table[1][2] + hidden;
	return 0;
}

SEC("?xdp")
int left_out(struct xdp_md *ctx)
{
	return XDP_PASS;
}
