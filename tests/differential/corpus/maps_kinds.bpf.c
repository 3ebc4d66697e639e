// Maps of many types, with and without types of keys and values.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct key { __u32 address; __u16 port, pad; };
struct value { __u64 packets, bytes; };

#define MAP(name, kind, entries, flags)              \
	struct {                                     \
		__uint(type, BPF_MAP_TYPE_##kind);   \
		__uint(max_entries, entries);        \
		__uint(map_flags, flags);            \
		__type(key, struct key);             \
		__type(value, struct value);         \
	} name SEC(".maps")

#define INDEXED(name, kind, entries, size)           \
	struct {                                     \
		__uint(type, BPF_MAP_TYPE_##kind);   \
		__uint(max_entries, entries);        \
		__uint(key_size, 4);                 \
		__uint(value_size, size);            \
	} name SEC(".maps")

MAP(hash, HASH, 1000, 0);
MAP(hash_late, HASH, 1000, BPF_F_NO_PREALLOC);
MAP(percpu_hash, PERCPU_HASH, 77, 0);
MAP(lru, LRU_HASH, 512, BPF_F_NO_COMMON_LRU);
MAP(lru_percpu, LRU_PERCPU_HASH, 64, 0);
INDEXED(array, ARRAY, 5, 24);
INDEXED(percpu, PERCPU_ARRAY, 3, 8);
INDEXED(programs, PROG_ARRAY, 8, 4);
INDEXED(stacks, STACK_TRACE, 128, 127 * 8);
INDEXED(groups, CGROUP_ARRAY, 2, 4);
INDEXED(devices, DEVMAP, 16, 4);
INDEXED(devices_hash, DEVMAP_HASH, 16, 8);
INDEXED(cpus, CPUMAP, 2, 4);
INDEXED(sockets, SOCKMAP, 4, 8);
INDEXED(reuse, REUSEPORT_SOCKARRAY, 4, 8);
INDEXED(xsk, XSKMAP, 4, 4);

struct prefix { __u32 length; __u8 address[4]; };

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 32);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u32);
} routes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 32);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, 20);
	__uint(value_size, 4);
} routes6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 10);
	__type(value, struct value);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 10);
	__uint(value_size, 12);
} stack SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 10);
	__type(key, struct key);
	__type(value, __u64);
} socket_hash SEC(".maps");

SEC("xdp")
int none(struct xdp_md *ctx)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&array, &key) ? XDP_PASS : XDP_DROP;
}
