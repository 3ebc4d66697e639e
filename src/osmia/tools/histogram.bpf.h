/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What tools have in common that count how long things take, in powers of two. */
#include "tool.bpf.h"

#define SLOTS 32

struct latencies {
	__u64 slots[SLOTS]; /* slot n: from 2^n on, up to 2^(n+1) - 1; slot 0: 0 as well */
};

/* Each CPU counts for itself, so that none waits for another; Python adds them up. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32); /* what a histogram is for */
	__type(value, struct latencies);
} histograms SEC(".maps");

/* Things that have begun. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH); /* of some the end is never seen */
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u64); /* when */
} starts SEC(".maps");

const volatile __u64 unit_ns = 1000;
static const struct latencies none;

static void begin(__u64 what)
{
	__u64 now = bpf_ktime_get_ns();

	bpf_map_update_elem(&starts, &what, &now, BPF_ANY);
}

static void count(__u32 key, __u64 value)
{
	__u32 slot = value ? 63 - __builtin_clzll(value) : 0;
	struct latencies *found = bpf_map_lookup_elem(&histograms, &key);

	if (!found) {
		bpf_map_update_elem(&histograms, &key, &none, BPF_NOEXIST);
		found = bpf_map_lookup_elem(&histograms, &key);
	}
	if (found)
		found->slots[slot < SLOTS ? slot : SLOTS - 1]++;
}

/* What began is over: count for a key how long it took. */
static void end(__u64 what, __u32 key)
{
	__u64 *start = bpf_map_lookup_elem(&starts, &what);

	if (!start)
		return;
	count(key, (bpf_ktime_get_ns() - *start) / unit_ns);
	bpf_map_delete_elem(&starts, &what);
}
