/* An XDP program with all that the command line shows: maps, events, globals, prints. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct size_key {
	__u32 size;
};

struct total {
	__u64 packets;
	__u64 bytes;
};

struct packet_event {
	__u32 size;
	enum xdp_action verdict;
	char name[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct size_key);
	__type(value, struct total);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} by_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

const volatile __u32 largest = 1000;
__u64 seen;
char label[8] = "demo";

static __noinline int report(struct packet_event *event)
{
	return bpf_ringbuf_output(&events, event, sizeof(*event), 0);
}

SEC("xdp")
int count(struct xdp_md *ctx)
{
	struct size_key key = { .size = ctx->data_end - ctx->data };
	struct total one = { .packets = 1, .bytes = key.size };
	struct total *total = bpf_map_lookup_elem(&totals, &key);
	struct packet_event event = { .size = key.size, .verdict = XDP_PASS, .name = "packet" };
	__u32 zero = 0;
	__u64 *mine = bpf_map_lookup_elem(&by_cpu, &zero);

	__sync_fetch_and_add(&seen, 1);
	if (mine)
		*mine += 1;
	if (total) {
		__sync_fetch_and_add(&total->packets, 1);
		__sync_fetch_and_add(&total->bytes, key.size);
	} else {
		bpf_map_update_elem(&totals, &key, &one, BPF_ANY);
	}
	if (key.size > largest)
		event.verdict = XDP_DROP;
	report(&event);
	if (key.size == 99)
		bpf_printk("a packet of %d bytes", key.size);
	return event.verdict;
}

char LICENSE[] SEC("license") = "GPL";
