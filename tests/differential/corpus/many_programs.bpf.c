// Many programs and maps in one object, all sharing subprograms and data.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define MAP(n)                                     \
	struct {                                   \
		__uint(type, BPF_MAP_TYPE_HASH);   \
		__uint(max_entries, 16 + n);       \
		__type(key, __u32);                \
		__type(value, __u64);              \
	} map_##n SEC(".maps");

#define PROGRAM(n)                                                   \
	SEC("tc") int program_##n(struct __sk_buff *ctx)             \
	{                                                            \
		__u32 key = n;                                       \
		__u64 *value = bpf_map_lookup_elem(&map_##n, &key);  \
		total[n & 3]++;                                      \
		return value ? shared(*value + n) : n;               \
	}

__u64 total[4];

static __noinline int shared(__u64 value)
{
	return value * 17 >> 3;
}

MAP(0) MAP(1) MAP(2) MAP(3) MAP(4) MAP(5) MAP(6) MAP(7) MAP(8) MAP(9)
MAP(10) MAP(11) MAP(12) MAP(13) MAP(14) MAP(15) MAP(16) MAP(17) MAP(18) MAP(19)
PROGRAM(0) PROGRAM(1) PROGRAM(2) PROGRAM(3) PROGRAM(4) PROGRAM(5) PROGRAM(6) PROGRAM(7) PROGRAM(8)
PROGRAM(9) PROGRAM(10) PROGRAM(11) PROGRAM(12) PROGRAM(13) PROGRAM(14) PROGRAM(15) PROGRAM(16)
PROGRAM(17) PROGRAM(18) PROGRAM(19)
