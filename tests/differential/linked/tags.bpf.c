// Declaration tags: of functions' arguments, an exception callback, types behind pointers.
// vmlinux
//// first
extern int report(int kind, void *ctx);
struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 4); __uint(value_size, 4);
} events SEC(".maps");
SEC("perf_event") int sample(void *ctx) { return report(2, ctx); }
SEC("raw_tp/sched_switch") int switched(void *ctx) { return report(3, ctx); }
//// second
extern struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 4);
	__uint(value_size, 4); } events SEC(".maps");
__noinline int report(int kind, void *ctx __arg_ctx)
{
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &kind, sizeof(kind));
	return kind;
}
//// third
extern void bpf_throw(__u64 cookie) __ksym;
__u64 thrown;
__noinline int on_exception(__u64 cookie) { return thrown == cookie; }
SEC("tc") __attribute__((btf_decl_tag("exception_callback:on_exception")))
int with_callback(struct __sk_buff *ctx)
{
	if (ctx->mark == 7)
		bpf_throw(7);
	return 0;
}
