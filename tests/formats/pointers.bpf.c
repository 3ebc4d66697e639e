// Addresses in data: of data, in both directions and in parts, of functions, maps and externs.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, long);
} counts SEC(".maps");

extern unsigned LINUX_KERNEL_VERSION __kconfig;

static const char one[] = "one", two[] = "two";
static const char *const volatile names[2] = {one, two};
int table[4] = {10, 20, 30, 40};
int *volatile where = &table[2];
struct node {
	struct node *volatile next;
	long number;
} last = {0, 3}, first = {&last, 1};
void *volatile map = &counts;
unsigned *volatile version = &LINUX_KERNEL_VERSION;
char _license[] SEC("license") = "GPL";
char *volatile text = _license;

__noinline int twice(int x)
{
	return x * 2;
}

static int (*volatile function)(int) = twice;

__u64 seen[8];

SEC("xdp") int look(struct xdp_md *ctx)
{
	int version_now = LINUX_KERNEL_VERSION;

	seen[0] = (__u64)names[0];
	seen[1] = (__u64)one;
	seen[2] = (__u64)names[1];
	seen[3] = (__u64)two;
	seen[4] = (__u64)where;
	seen[5] = (__u64)&table[2];
	seen[6] = (__u64)first.next;
	seen[7] = (__u64)&last;
	return twice(XDP_PASS) + (map && version && text && function) + (version_now == 0);
}
