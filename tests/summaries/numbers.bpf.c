/* Numbers of all kinds, in maps and variables. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

enum side { LEFT, RIGHT };
struct place { __u16 port; char dev[6]; };
struct flow_key { struct place from; __u32 mark; };
struct flow { __u64 packets; struct bpf_spin_lock lock; __u32 sizes[2]; enum side side; };

struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8);
	 __type(key, struct flow_key); __type(value, struct flow); } flows SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 2);
	 __type(key, __u32); __type(value, __u64); } drops SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1000);
	 __type(key, __u32); __type(value, __u64); } ports SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2);
	 __type(key, __u32); __type(value, __u32); } calls SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
	 __type(key, __u32); __type(value, int); } only SEC(".maps");

const volatile __u32 limit = 5;
int seen;
bool ready = true;
char label[8] = "abc";
void *somewhere;
__u64 table[600];

SEC("xdp") int count(struct xdp_md *ctx)
{
	struct flow_key key = {.from = {.port = 80, .dev = "lo"}, .mark = 7};
	struct flow flow = {.packets = 3, .sizes = {1, 2}};
	__u32 one = 1, far = 900, zero = 0;
	__u64 *drop = bpf_map_lookup_elem(&drops, &one), *port = bpf_map_lookup_elem(&ports, &far);
	int *value = bpf_map_lookup_elem(&only, &zero);

	seen += limit;
	if (drop)
		*drop += 1;
	if (port)
		*port += 4;
	if (value)
		*value = -1;
	table[500] = 9;
	bpf_map_update_elem(&flows, &key, &flow, BPF_ANY);
	return ready && label[0] && !somewhere ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
