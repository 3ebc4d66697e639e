// Weak functions that lose, before and behind the strong ones; with static ones that only they use.
//// weak_first
static __noinline int only_of_loser(int value) { return value + bpf_get_prandom_u32(); }
__weak __noinline int early(int value) { return only_of_loser(value) + 1; }
__noinline int late(int value) { return value + 2; }
SEC("xdp") int a(struct xdp_md *ctx) { return early(1) + late(ctx->rx_queue_index); }
//// strong_between
__noinline int early(int value) { return value + 3; }
static __noinline int of_both(int value) { return value * 7 + bpf_get_prandom_u32(); }
__weak __noinline int late(int value) { return of_both(value) + 4; }
SEC("xdp") int b(struct xdp_md *ctx) { return early(1) + late(ctx->rx_queue_index) + of_both(2); }
//// weak_last
__weak __noinline int early(int value) { return value + 5; }
__weak __noinline int late(int value) { return value + 6; }
SEC("xdp") int c(struct xdp_md *ctx) { return early(1) + late(ctx->rx_queue_index); }
