// Switches and computed gotos: with -mcpu=v4 clang 22 makes jump tables of them, with
// -mcpu=v3 branches.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct input {
	__u64 a, b;
};

__u64 steps;

#ifdef __BPF_FEATURE_GOTOX
#define LABELS(storage, name, ...) storage const void *const name[] = {__VA_ARGS__}
#define GO(name, index, ...) goto *name[index]
#else
// Without indirect jumps the same is said with a switch.
#define LABELS(storage, name, ...)
#define GO(name, index, a, b, c, d) \
	switch (index) {            \
	case 0: goto a;             \
	case 1: goto b;             \
	case 2: goto c;             \
	default: goto d;            \
	}
#endif

// Sixteen targets, holes between them, a default on both sides.
__noinline int arithmetic(__u64 kind, __u64 x)
{
	switch (kind) {
	case 2: return x * 3;
	case 3: return x ^ 7;
	case 4: return x + 100;
	case 5: return x / 3;
	case 6: return x % 5;
	case 7: return x << 3;
	case 8: return x >> 3;
	case 10: return x - 9;
	case 11: return x & 0x70;
	case 14: return x * x;
	case 15: return ~x;
	case 16: return -x;
	case 17: return x | 1;
	case 18: return x * x * x;
	case 19: return (int)x % 9;
	case 20: steps++; return steps;
	default: return 77;
	}
}

// An array in the frame: clang puts it into .jumptables.
static __noinline int local_labels(__u64 x)
{
	LABELS(, table, &&a, &&b, &&c, &&d);
	int r = 1;
	GO(table, x & 3, a, b, c, d);
a:	r += 5;
	return r * x;
b:	r += 9;
	return r ^ x;
c:	r += 10;
d:	return r - 3;
}

// A static array: clang puts it into .rodata, with relocations.
static __noinline int static_labels(__u64 x)
{
	LABELS(static, table, &&a, &&b, &&c, &&d);
	int r = 2;
	GO(table, x & 3, a, b, c, d);
a:	r += 50;
	return r * x;
b:	r += 90;
	return r ^ x;
c:	r += 11;
d:	return r - 30;
}

// A little machine: jumps back through its table until the text is over.
static __noinline int machine(__u64 text, __u64 x)
{
	LABELS(, table, &&add, &&twice, &&flip, &&stop);
	unsigned int r = x;
	for (int i = 0; i < 8; i++) {
		__u64 now = text & 3;
		text >>= 2;
		GO(table, now, add, twice, flip, stop);
add:		r += 3;
		continue;
twice:		r *= 2;
		continue;
flip:		r = ~r;
		continue;
stop:		return r;
	}
	return r + 1;
}

SEC("syscall") int two_switches(struct input *in)
{
	__u64 r = 0;
	switch (in->a & 31) {
	case 0: r = 1; break;
	case 1: r = in->b / 5; break;
	case 2: r = in->a * 7; break;
	case 3: r = 99 ^ in->b; break;
	case 4: r = arithmetic(in->a >> 5, 9); break;
	case 5: r = 12; break;
	case 7: r = in->b * 3; break;
	case 8: r = in->a / 7; break;
	case 9: r = 9 * in->b; break;
	case 12: r = in->a - 1; break;
	case 13: r = in->a - in->b; break;
	case 14: r = in->a >> 3; break;
	case 15: r = in->a << 5; break;
	case 16: r = 3; break;
	case 17: r = in->b | 5; break;
	default: r = 33;
	}
	switch (r & 15) {
	case 0: return r + in->a;
	case 1: return r - in->a;
	case 2: return r * 3;
	case 3: return r ^ in->b;
	case 4: return r + 11;
	case 5: return arithmetic(in->b & 31, r);
	case 6: return r + 13;
	case 7: return r - 14;
	case 8: return r / 9;
	case 9: return r * r;
	case 10: return r + 17;
	case 11: return r * 18;
	case 12: return r / 19;
	case 13: return ~r;
	default: return r;
	}
}

SEC("syscall") int everything(struct input *in)
{
	return arithmetic(in->a & 31, in->b) + 3 * local_labels(in->a >> 5) +
	       5 * static_labels(in->a >> 7) + 7 * machine(in->a >> 9, in->b);
}

SEC("syscall") int plain(struct input *in)
{
	return in->a + 1;
}

char _license[] SEC("license") = "GPL";
