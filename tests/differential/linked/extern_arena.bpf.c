// A variable in an arena that another object declares extern.
// vmlinux
// cpu: v4
//// first
struct { __uint(type, BPF_MAP_TYPE_ARENA); __uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 100); __ulong(map_extra, 0x1ull << 44); } arena SEC(".maps");
extern __u64 __arena there;
SEC("syscall") int one(void *ctx) { (void)*(volatile long *)&arena; return there; }
//// second
extern struct { __uint(type, BPF_MAP_TYPE_ARENA); __uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 100); __ulong(map_extra, 0x1ull << 44); } arena SEC(".maps");
__u64 __arena before SEC(".addr_space.1") = 6;
__u64 __arena there SEC(".addr_space.1") = 7;
SEC("syscall") int two(void *ctx) { (void)*(volatile long *)&arena; return before + there; }
