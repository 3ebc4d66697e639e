/* Structures passed by value to traced functions. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct two {
	long a, b;
};

struct half {
	int a;
};

long seen[8];

SEC("?fentry/some_function")
int BPF_PROG2(on_entry, struct two, pair, int, number, struct half, half, u8, byte, const char *, text)
{
	seen[0] = pair.a + pair.b;
	seen[1] = number;
	seen[2] = half.a + byte;
	seen[3] = (long) text;
	return 0;
}

SEC("?fexit/some_function")
int BPF_PROG2(on_exit_of_it, struct two, pair, int, result)
{
	seen[4] = pair.b + result;
	return 0;
}

SEC("?fexit/other_function")
int BPF_PROG2(without_arguments)
{
	seen[5] = ctx[0];
	return 0;
}

SEC("?lsm/file_open")
int BPF_PROG(open_check, struct file *file, int previous)
{
	return previous ? previous : file->f_flags & 1 ? -1 : 0;
}

char LICENSE[] SEC("license") = "GPL";
