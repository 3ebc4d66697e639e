#include <bpf/bpf_core_read.h>

struct pt_regs {
	unsigned long di, si, dx, cx;
} __attribute__((preserve_access_index));

#ifdef FIXED
#define argument(name) BPF_CORE_READ(ctx, name)
#else
#define argument(name) ctx->name
#endif

SEC("uprobe//bin/true:main") int program(struct pt_regs *ctx)
{
	unsigned long value;

	switch (bpf_get_prandom_u32()) {
	case 0: value = argument(di); break;
	case 1: value = argument(si); break;
	case 2: value = argument(dx); break;
	default: value = argument(cx);
	}
	return value == 1;
}
