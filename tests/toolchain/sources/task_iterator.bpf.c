/* Iterators that print: /proc-like text, formatting into a buffer. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

u32 lines;

SEC("iter/task")
int dump_tasks(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	char text[32];
	long length;

	if (!task) {
		BPF_SEQ_PRINTF(seq, "end\n");
		return 0;
	}
	if (ctx->meta->seq_num == 0)
		BPF_SEQ_PRINTF(seq, "%8s %8s %s\n", "pid", "tgid", "comm");
	BPF_SEQ_PRINTF(seq, "%8d %8d %s\n", task->pid, task->tgid, task->comm);
	length = BPF_SNPRINTF(text, sizeof(text), "%d-%s-%d", task->pid, task->comm, 3);
	if (length > 0)
		__sync_fetch_and_add(&lines, 1);
	BPF_SNPRINTF(text, sizeof(text), "no arguments");
	return 0;
}

SEC("iter/bpf_map")
int BPF_PROG(dump_maps, struct bpf_iter_meta *meta, struct bpf_map *map)
{
	if (map)
		BPF_SEQ_PRINTF(meta->seq, "%u\n", map->id);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
