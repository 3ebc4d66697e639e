// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* A request is issued to a disk's driver, and completed: a disk and a sector say which one it is. */
#include "histogram.bpf.h"

/* Both tracepoints' records begin so; where that is in the kernel at hand, CO-RE finds out. */
struct trace_event_raw_block_rq {
	__u32 dev;
	__u64 sector;
} __attribute__((preserve_access_index));

const volatile bool by_disk;
const volatile __u32 only_disk;

static __u64 request(struct trace_event_raw_block_rq *ctx)
{
	return (__u64) ctx->dev << 44 ^ ctx->sector; /* 44 bits are 8 PiB */
}

SEC("tp/block/block_rq_issue")
int issued(struct trace_event_raw_block_rq *ctx)
{
	if (!only_disk || ctx->dev == only_disk)
		begin(request(ctx));
	return 0;
}

SEC("tp/block/block_rq_complete")
int completed(struct trace_event_raw_block_rq *ctx)
{
	end(request(ctx), by_disk ? ctx->dev : 0);
	return 0;
}
