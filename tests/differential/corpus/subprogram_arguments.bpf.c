// Subprograms: global functions whose arguments have tags: context, non-null, memory.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct packet { __u32 length, mark; };

__weak __noinline int of_context(void *ctx __arg_ctx)
{
	return bpf_get_prandom_u32() & 1;
}

__weak __noinline int of_memory(struct packet *packet __arg_nonnull)
{
	return packet->length + packet->mark;
}

__weak __noinline int of_plain(struct packet *packet)
{
	return packet ? packet->mark : 0;
}

SEC("tc")
int tagged(struct __sk_buff *ctx)
{
	struct packet packet = { ctx->len, ctx->mark };

	return of_context(ctx) + of_memory(&packet) + of_plain(&packet);
}

SEC("perf_event")
int event(void *ctx)
{
	return of_context(ctx);
}
