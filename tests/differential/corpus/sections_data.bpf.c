// Data: custom sections, initialised and not, constants of strings and merged ones, alignment.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct wide { __u8 small; __u64 large; } __attribute__((aligned(64)));

int plain = 7;
static volatile int hidden_counter;
__u64 zeroes[3];
const volatile __u32 constant = 0xC0FFEE;
static const char greeting[] = "hello";
int custom SEC(".data.custom") = 3;
__u64 hot SEC(".bss.hot");
const volatile __u16 fixed SEC(".rodata.fixed") = 9;
__u32 rarely SEC(".data.read_mostly") = 100;
struct wide aligned SEC(".data.aligned") = { .small = 1, .large = 2 };
__attribute__((weak)) int weak_one = 11;
__hidden int hidden_one = 12;
__u8 unaligned_tail[5] = { 1, 2, 3, 4, 5 };

SEC("xdp")
int touch(struct xdp_md *ctx)
{
	static int local = 4;
	char text[6];

	__builtin_memcpy(text, greeting, sizeof(text));
	local += plain + hidden_counter + constant + custom + fixed + rarely;
	hidden_counter = local;
	hot++;
	zeroes[1] = local + aligned.large + weak_one + hidden_one + unaligned_tail[4];
	bpf_printk("%s %d", text, local);
	return XDP_PASS;
}
