/* Data sections: scalars, arrays, structs, static variables, sections of their own. */
#include "zoo.h"

struct limits {
	__u32 rate;
	struct { __u16 low, high; } ports[2];
};
enum mode { OFF, ON, AUTO = 7 };

const volatile __u32 sample_rate = 8;
const volatile char device[16] = "eth0";
const volatile enum mode mode = AUTO;
__u64 packets;
__s32 balance = -5;
_Bool enabled = 1;
struct limits limits = { .rate = 100, .ports = { { 1, 2 }, { 3, 4 } } };
static volatile __u8 hidden = 3;
__u16 table[3] = { 1, 2, 3 };
int own SEC(".data.own") = 11;
const volatile int fixed SEC(".rodata.fixed") = 12;
int zero SEC(".bss.own");

SEC("xdp") int data_sections(struct xdp_md *ctx)
{
	static int calls = 4;

	packets += sample_rate + hidden + own + fixed + zero + device[0] + mode + calls++;
	return enabled ? limits.rate + balance + table[ctx->rx_queue_index & 1] : 0;
}
