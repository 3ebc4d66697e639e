/* All ways to loop: open-coded iterators, may_goto, callbacks. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_experimental.h>

#define SIZE 16

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SIZE);
	__type(key, u32);
	__type(value, u64);
} table SEC(".maps");

u64 array[SIZE];
u64 sum;
u64 limit = 100000;

static long add(u32 index, void *context)
{
	*(u64 *) context += index;
	return 0;
}

static long visit(struct bpf_map *map, const u32 *key, u64 *value, u64 *context)
{
	*context += *value;
	return 0;
}

SEC("socket")
int open_coded(struct __sk_buff *skb)
{
	int i, j, *element;

	bpf_for(i, 0, SIZE) {
		array[i] = i;
		bpf_for(j, 0, i) {
			if (j == 3)
				break;
			sum += j;
		}
	}
	bpf_repeat(5) {
		sum++;
		if (sum > 1000)
			return 1;
	}
	bpf_for_each(num, element, 2, 7)
		sum += *element;
	return 0;
}

SEC("socket")
int may_goto(struct __sk_buff *skb)
{
	u64 n = 0;

	for (u64 i = 0; i < limit && can_loop; i++)
		n += i;
	for (;;) {
		n++;
		cond_break;
	}
	sum = n;
	return 0;
}

SEC("socket")
int callbacks(struct __sk_buff *skb)
{
	u64 local = 0;

	bpf_loop(10, add, &local, 0);
	bpf_for_each_map_elem(&table, visit, &local, 0);
	sum = local;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
