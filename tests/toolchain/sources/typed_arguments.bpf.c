/* Parameter lists of every shape over a context of 64-bit slots, so that a test can fill it. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct two {
	s64 a, b;
};

struct half {
	s32 a;
};

s64 seen[8];

SEC("raw_tp")
int BPF_PROG(plain, s32 number, u8 byte, const char *text, u64 last)
{
	seen[0] = number;
	seen[1] = byte;
	seen[2] = (s64) text;
	seen[3] = last;
	return 0;
}

SEC("raw_tp")
int BPF_PROG2(structures, struct two, pair, s32, number, struct half, half, u8, byte)
{
	seen[0] = pair.a;
	seen[1] = pair.b;
	seen[2] = number;
	seen[3] = half.a;
	seen[4] = byte;
	return 0;
}

SEC("raw_tp")
int BPF_PROG(no_parameters)
{
	seen[0] = ctx[1];
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
