SEC("tc") int program(struct __sk_buff *ctx)
{
#ifdef FIXED
	__u32 mark = ctx->mark, priority = ctx->priority, first = ctx->cb[0], second = ctx->cb[1];

	barrier_var(mark);
	barrier_var(priority);
	barrier_var(first);
	barrier_var(second);
#else
#define mark ctx->mark
#define priority ctx->priority
#define first ctx->cb[0]
#define second ctx->cb[1]
#endif
	switch (bpf_get_prandom_u32()) {
	case 0: return first;
	case 1: return second;
	case 2: return mark;
	}
	return priority;
}
