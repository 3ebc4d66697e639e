/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What tools have in common that send a record for each thing that happens. */
#include "tool.bpf.h"

/* Records that there was no room for: the kernel does not count them. */
__u64 lost;

/* The ring buffer, with the type of what is in it, which Python finds there. */
#define EVENTS_ARE(record)                       \
	struct {                                 \
		__uint(type, BPF_MAP_TYPE_RINGBUF); \
		__uint(max_entries, 1 << 20);    \
		__type(value, record);           \
	} events SEC(".maps")

/* Room for a record, to be filled and submitted; NULL where there is none. */
#define NEW_EVENT(record)                                                        \
	({                                                                       \
		record *___event = bpf_ringbuf_reserve(&events, sizeof(record), 0); \
		if (!___event)                                                   \
			__sync_fetch_and_add(&lost, 1);                          \
		___event;                                                        \
	})
