/* Maps of many kinds, filled before load, by programs, and from user space. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct flow { __u32 source; __u16 port; __u8 flags[2]; };
struct counts { __u64 packets; __u64 bytes; };
struct sample { __u32 number; __u32 square; };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct flow);
	__type(value, struct counts);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} per_cpu SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} first SEC(".maps"), second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { &first, &second } };

int called(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(__u32));
	__array(values, int (struct __sk_buff *));
} chain SEC(".maps") = { .values = { [2] = &called } };

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__type(value, __u32);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 8);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct { __u32 prefix; __u8 address[4]; });
	__type(value, __u32);
} routes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct sample);
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} orders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u32);
} pinned SEC(".maps");

SEC("tc") int hash(struct __sk_buff *skb)
{
	struct flow key = { .source = skb->len, .port = 80, .flags = {1, 2} };
	struct counts *found = bpf_map_lookup_elem(&flows, &key), fresh = { 1, skb->len };

	if (found) {
		found->packets++;
		found->bytes += skb->len;
		return 1;
	}
	return bpf_map_update_elem(&flows, &key, &fresh, BPF_NOEXIST);
}

SEC("tc") int count_per_cpu(struct __sk_buff *skb)
{
	__u32 key = 1;
	__u64 *value = bpf_map_lookup_elem(&per_cpu, &key);

	if (value)
		*value += 1;
	return 0;
}

SEC("tc") int maps_in_maps(struct __sk_buff *skb)
{
	__u32 key = 1, zero = 0, *value;
	void *inside = bpf_map_lookup_elem(&outer, &key);

	if (!inside)
		return -1;
	value = bpf_map_lookup_elem(inside, &zero);
	return value ? *value : -2;
}

SEC("tc") int called(struct __sk_buff *skb)
{
	return 42;
}

SEC("tc") int tail_calls(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &chain, 1); /* an empty slot: goes on */
	bpf_tail_call(skb, &chain, 2);
	return 7;
}

SEC("tc") int queues(struct __sk_buff *skb)
{
	__u32 value = 0, more = 5;

	if (bpf_map_pop_elem(&queue, &value))
		return -1;
	bpf_map_push_elem(&queue, &more, 0);
	return value;
}

SEC("tc") int longest_prefix(struct __sk_buff *skb)
{
	struct { __u32 prefix; __u8 address[4]; } key = { 32, {10, 1, 2, 3} };
	__u32 *value = bpf_map_lookup_elem(&routes, &key);

	return value ? *value : -1;
}

SEC("tc") int send_samples(struct __sk_buff *skb)
{
	for (__u32 number = 0; number < 5; number++) {
		struct sample *sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);

		if (!sample)
			return number;
		sample->number = number;
		sample->square = number * number;
		if (number == 3)
			bpf_ringbuf_discard(sample, 0);
		else
			bpf_ringbuf_submit(sample, 0);
	}
	return 0;
}

__u64 ordered;

static long take(struct bpf_dynptr *record, void *context)
{
	__u64 amount = 0;

	bpf_dynptr_read(&amount, sizeof(amount), record, 0, 0);
	ordered += amount;
	return 0;
}

SEC("tc") int take_orders(struct __sk_buff *skb)
{
	return bpf_user_ringbuf_drain(&orders, take, NULL, 0);
}

SEC("tc") int use_pinned(struct __sk_buff *skb)
{
	__u32 zero = 0, *value = bpf_map_lookup_elem(&pinned, &zero);

	return value ? ++*value : -1;
}
