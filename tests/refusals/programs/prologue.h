/* Before each program: the headers, a license, and maps that several use. */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#if defined(NOT_GPL) && !defined(FIXED)
char LICENSE[] SEC("license") = "Proprietary";
#else
char LICENSE[] SEC("license") = "GPL";
#endif

#define naked __attribute__((naked))
#define packet(context) ((void *)(long)(context)->data)
#define packet_end(context) ((void *)(long)(context)->data_end)

struct value {
	__u64 counts[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct value);
} values SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");
