// Indirect jumps through jump tables: of a switch, and of an array of labels in a subprogram.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static __noinline int labels(__u64 which, int value)
{
	const void *const table[] = {&&twice, &&next, &&minus};

	if (which > 2)
		return value;
	goto *table[which];
twice:
	value *= 2;
next:
	return value + 1;
minus:
	return -value;
}

SEC("xdp") int jumps(struct xdp_md *ctx)
{
	__u64 size = ctx->data_end - ctx->data;
	int value;

	switch (size - 64) {
	case 0: value = labels(3, 12); break;
	case 1: value = labels(1, 0); break;
	case 2: value = size * 5; break;
	case 3: value = size ^ 21; break;
	case 4: value = size / 3; break;
	case 5: value = size << 2; break;
	case 6: value = size - 34; break;
	case 7: value = size % 11; break;
	case 8: value = -size; break;
	case 9: value = ~size; break;
	case 10: value = size * size; break;
	case 11: value = size + 1000; break;
	case 12: value = size & 6; break;
	case 13: value = labels(0, 1); break;
	default: value = 99;
	}
	return value;
}

char _license[] SEC("license") = "GPL";
