// An arena: the map in one object, variables in it in others, allocation in a third.
// vmlinux
// cpu: v4
//// first
struct { __uint(type, BPF_MAP_TYPE_ARENA); __uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 100); __ulong(map_extra, 0x1ull << 44); } arena SEC(".maps");
__u64 __arena counter SEC(".addr_space.1") = 5;
SEC("syscall") int one(void *ctx) { (void)*(volatile long *)&arena; return counter++; }
//// second
extern struct { __uint(type, BPF_MAP_TYPE_ARENA); __uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 100); __ulong(map_extra, 0x1ull << 44); } arena SEC(".maps");
int __arena numbers[16] SEC(".addr_space.1") = { 1, 2, 3 };
extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *address, __u32 pages, int node,
					   __u64 flags) __ksym __weak;
SEC("syscall") int two(void *ctx)
{
	int __arena *page = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!page)
		return 1;
	*page = numbers[3];
	return 0;
}
