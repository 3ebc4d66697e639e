/* Maps with something of every sort in their types, and events. */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

enum state { CLOSED, OPEN };

struct key {
	__be32 saddr;
	__u32 mark;
};

struct peer {
	__be32 addr;
	__be16 port;
};

struct flow {
	__u64 start_ns;
	struct peer peer;
	enum state state;
	__u32 urgent : 3;
	char comm[16];
	__u16 retries[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, struct key);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} lengths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
} totals SEC(".maps");

struct event {
	__u64 number;
	__u64 at_ns;
	enum state state;
	__u32 size;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct event);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} samples SEC(".maps");

__u64 sent, dropped;

static struct event next(struct xdp_md *ctx)
{
	struct event event = { sent++, bpf_ktime_get_ns(), OPEN, ctx->data_end - ctx->data };
	return event;
}

SEC("xdp")
int to_ring(struct xdp_md *ctx)
{
	struct event event = next(ctx);

	if (bpf_ringbuf_output(&events, &event, sizeof(event), 0))
		dropped++;
	return XDP_PASS;
}

SEC("xdp")
int to_perf(struct xdp_md *ctx)
{
	struct event event = next(ctx);

	if (bpf_perf_event_output(ctx, &samples, BPF_F_CURRENT_CPU, &event, sizeof(event)))
		dropped++;
	return XDP_PASS;
}
