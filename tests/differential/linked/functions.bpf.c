// Functions: strong, weak, static, hidden and extern ones, programs in sections of one name.
//// first
extern int shared(int value);
extern int weakly(int value) __weak;
extern int hidden_there(int value) __attribute__((visibility("hidden")));
__weak __noinline int both_weak(int value) { return value + 11; }
static __noinline int local(int value) { return value * 3 + bpf_get_prandom_u32(); }
SEC("xdp") int one(struct xdp_md *ctx)
{
	return shared(ctx->rx_queue_index) + weakly(2) + hidden_there(3) + both_weak(4) + local(5);
}
SEC("tc") int one_tc(struct __sk_buff *ctx) { return local(ctx->len); }
//// second
__noinline int shared(int value) { return value + 100; }
__weak __noinline int weakly(int value) { return value + 200; }
__noinline int hidden_there(int value) { return value + 300; }
__weak __noinline int both_weak(int value) { return value + 12; }
static __noinline int local(int value) { return value * 5 + bpf_get_prandom_u32(); }
SEC("xdp") int two(struct xdp_md *ctx) { return shared(1) + both_weak(ctx->rx_queue_index) + local(6); }
//// third
extern int shared(int);
__noinline int weakly(int value) { return value + 201; }
__weak __noinline int both_weak(int value) { return value + 13; }
__hidden int own_hidden(int value) { return value + 400; }
SEC("xdp") int three(struct xdp_md *ctx) { return weakly(ctx->rx_queue_index) + shared(1) + own_hidden(2); }
