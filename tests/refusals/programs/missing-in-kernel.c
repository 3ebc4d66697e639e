#include <bpf/bpf_core_read.h>

struct task_struct {
	int warp;
} __attribute__((preserve_access_index));

SEC("syscall") int program(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();

#ifdef FIXED
	if (!bpf_core_field_exists(task->warp))
		return 0;
#endif
	return task->warp;
}
