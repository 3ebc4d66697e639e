/* A library: it has no program of its own. Who is linked against it shares its map and counters. */
#include "conntrack.h"

char LICENSE[] SEC("license") = "GPL";

struct connections connections SEC(".maps");
__u64 opened;
__u64 refused;

static __noinline void count(struct traffic *traffic, __u32 length, enum direction direction)
{
	if (!traffic)
		return;
	__sync_fetch_and_add(&traffic->packets[direction & 1], 1);
	__sync_fetch_and_add(&traffic->bytes[direction & 1], length);
}

__noinline int conntrack_open(struct connection *connection, __u32 length)
{
	struct traffic *known, nothing = {};

	if (!connection)
		return 0;
	known = bpf_map_lookup_elem(&connections, connection);
	if (!known) {
		if (bpf_map_update_elem(&connections, connection, &nothing, BPF_NOEXIST) == 0)
			__sync_fetch_and_add(&opened, 1);
		known = bpf_map_lookup_elem(&connections, connection);
	}
	count(known, length, OUTGOING);
	return known != 0;
}

__noinline int conntrack_known(struct connection *connection, __u32 length)
{
	struct traffic *known;

	if (!connection)
		return 0;
	known = bpf_map_lookup_elem(&connections, connection);
	count(known, length, INCOMING);
	return known != 0;
}
