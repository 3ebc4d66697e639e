// Computed gotos in the forms in which clang makes tables of them: two tables for one jump, one
// table for two, entries that go through memory. `mixed` is what no kernel takes.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct input {
	__u64 a, b;
};

SEC("syscall") int two_tables_one_jump(struct input *in)
{
	const void *const odd[] = {&&l1, &&l2}, *const even[] = {&&l3, &&l4};
	volatile int sum = 0;

	if (in->b & 1)
		goto *odd[in->a & 1];
	else
		goto *even[(in->a >> 1) & 1];
l1:	sum += 1;
l2:	sum += 3;
l3:	sum += 5;
l4:	sum += 7;
	return sum;
}

SEC("syscall") int one_table_two_ways(struct input *in)
{
	static const void *const table[] = {&&l1, &&l2, &&l3};
	volatile int sum = 0;
	__u32 a = in->a & 1;

	if (in->b & 1)
		goto *table[a];
	else
		goto *table[a + 1];
l1:	sum += 1;
l2:	sum += 3;
l3:	sum += 5;
	return sum;
}

SEC("syscall") int through_memory(struct input *in)
{
	const void *table[] = {&&l1, &&l2};
	const void *volatile kept = table[in->a & 1];
	int sum = in->b;

	goto *kept;
l1:	sum += 100;
l2:	sum += 3;
	return sum;
}

SEC("syscall") int chosen(struct input *in)
{
	const void *label = &&l1;
	int sum = in->b;

	if (in->a & 1)
		label = &&l2;
	if (in->a & 2)
		label = &&l3;
	asm volatile("" : "+r"(label));
	goto *label;
l1:	sum += 100;
l2:	sum += 3;
l3:	sum *= 3;
	return sum;
}

SEC("?syscall") int mixed(struct input *in)
{
	static const struct {
		__u64 start;
		const void *label;
	} table[] = {{5, &&l1}, {6, &&l2}, {7, &&l3}};
	volatile int sum = table[in->a % 3].start;

	goto *table[in->a % 3].label;
l1:	sum += 1;
l2:	sum += 3;
l3:	sum += 5;
	return sum;
}

char _license[] SEC("license") = "GPL";
