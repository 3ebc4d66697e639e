"""A program whose ways out clang hoists, with a loop and a subprogram; packets for it."""

from __future__ import annotations

SOURCE = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
static __attribute__((noinline)) int weigh(__u8 *from, int many)
{
	int sum = 0;
	for (int n = 0; n < many && n < 8; n++)
		sum += from[n] * n;
	return sum;
}
SEC("xdp") int gate(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u8 copy[8];

	if (data + 16 > (__u8 *)(long)ctx->data_end)
		return XDP_DROP;
	if (data[0] == 7)
		return XDP_DROP; /* never in these tests */
	if (data[1] == 9)
		return XDP_TX;
	__builtin_memcpy(copy, data + 4, 8);
	if (weigh(copy, data[2]) > 50)
		return XDP_ABORTED;
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
"""
PLAIN = bytes(16)
PACKETS = (PLAIN, PLAIN, bytes(14), bytes([0, 9]) + bytes(14), bytes([0, 0, 4]) + b"\\4" * 13)


def line_of(text: str, nth: int = 0) -> int:
    """The number of a line of the source that has this text."""
    return [n for n, line in enumerate(SOURCE.splitlines(), 1) if text in line][nth]
