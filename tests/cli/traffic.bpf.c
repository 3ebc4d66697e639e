/* Events, counters and histograms of packets, for what `osmia run` sums up. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct event {
	__u32 size;
	__u32 uid;
	int ret;
	char side[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct event);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} size_hist SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} sizes SEC(".maps");

struct bytes {
	__u64 packets;
	__u64 bytes;
	char note[200];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct bytes);
} slots_of_nothing SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct bytes);
} __bpf_internal SEC(".maps");

__u64 packets;
struct event *type_of_events;

SEC("xdp")
int count(struct xdp_md *ctx)
{
	__u32 size = ctx->data_end - ctx->data, slot = 0, rest = size, five = 5;
	__u64 one = 1, *known;
	struct bytes *sum;
	struct event *event;

	for (int i = 0; i < 15; i++) {
		rest >>= 1;
		if (!rest)
			break;
		slot++;
	}
	packets++;
	known = bpf_map_lookup_elem(&size_hist, &slot);
	if (known)
		*known += 1;
	known = bpf_map_lookup_elem(&sizes, &size);
	if (known)
		*known += 1;
	else
		bpf_map_update_elem(&sizes, &size, &one, BPF_ANY);
	sum = bpf_map_lookup_elem(&slots_of_nothing, &five);
	if (sum) {
		sum->packets += 1;
		sum->bytes += size;
		for (int i = 0; i < 199; i++)
			sum->note[i] = 'n';
	}
	bpf_map_lookup_elem(&__bpf_internal, &five);
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return XDP_PASS;
	event->size = size;
	event->uid = 0;
	event->ret = size & 1 ? -2 : 2;
	__builtin_memcpy(event->side, size & 1 ? "odd\0\0\0\0" : "even\0\0\0", 8);
	bpf_ringbuf_submit(event, 0);
	return XDP_PASS;
}

SEC("perf_event")
int sample(void *ctx)
{
	__sync_fetch_and_add(&packets, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
