// Maps: ring buffers whose sizes are no power of two or less than a page; perf events for all CPUs.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct event { __u32 kind; __u64 when; };

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 100000);
} odd SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64);
} tiny SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} exact SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 5000);
} from_user SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
} all_cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
} one_cpu SEC(".maps");

SEC("tp/sched/sched_switch")
int switched(void *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&odd, sizeof(*event), 0);
	struct event other = { .kind = 2 };

	if (event) {
		event->kind = 1;
		event->when = bpf_ktime_get_ns();
		bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	}
	bpf_ringbuf_output(&exact, &other, sizeof(other), 0);
	bpf_perf_event_output(ctx, &all_cpus, BPF_F_CURRENT_CPU, &other, sizeof(other));
	return 0;
}
