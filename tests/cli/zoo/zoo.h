/* What all objects of the zoo include: a map of one value of any type, and a program that keeps it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define ARRAY_OF(name, type_name, count)             \
	struct {                                     \
		__uint(type, BPF_MAP_TYPE_ARRAY);    \
		__uint(max_entries, count);          \
		__type(key, __u32);                  \
		__type(value, type_name);            \
	} name SEC(".maps")
