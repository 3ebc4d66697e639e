// A strong extern, then a weak definition, then a strong one.
//// first
extern int weakly(int value);
SEC("xdp") int one(struct xdp_md *ctx) { return weakly(ctx->rx_queue_index); }
//// second
__weak __noinline int weakly(int value) { return value + 200; }
SEC("xdp") int two(struct xdp_md *ctx) { return weakly(ctx->rx_queue_index); }
//// third
__noinline int weakly(int value) { return value + 201; }
SEC("xdp") int three(struct xdp_md *ctx) { return weakly(ctx->rx_queue_index); }
