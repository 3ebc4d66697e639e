/* Numbers of more than 31 bits in a map definition; an arena at a fixed address. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4);
	__ulong(map_extra, 0x1ull << 44);
} arena SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__type(value, u64);
	__uint(max_entries, 10);
	__ulong(map_extra, 4);
} bloom SEC(".maps");

SEC("syscall")
int use(void *ctx)
{
	u64 value = (u64) &arena;

	return bpf_map_peek_elem(&bloom, &value);
}

char LICENSE[] SEC("license") = "GPL";
