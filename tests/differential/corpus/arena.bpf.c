// An arena: memory shared with user space, allocated by the program, with global variables in it.
// cpu: v4
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define __arena __attribute__((address_space(1)))

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 100);
	__ulong(map_extra, 0x1ull << 44);
} arena SEC(".maps");

extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *address, __u32 pages, int node,
					   __u64 flags) __ksym __weak;
extern void bpf_arena_free_pages(void *map, void __arena *address, __u32 pages) __ksym __weak;

struct item {
	struct item __arena *next;
	__u64 value;
};

struct item __arena *head;
__u64 __arena counter SEC(".addr_space.1") = 5;
int __arena numbers[16] SEC(".addr_space.1") = { 1, 2, 3 };

SEC("syscall")
int grow(void *ctx)
{
	struct item __arena *page = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!page)
		return 1;
	page->value = counter++;
	page->next = head;
	head = page;
	numbers[3] = page->value;
	return 0;
}
