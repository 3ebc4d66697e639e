#ifdef FIXED
#define LAST 7
#else
#define LAST 8
#endif

static __noinline int f9(int n) { volatile int x = n; return x; }
static __noinline int f8(int n) { return f9(n + 1) + n; }
static __noinline int f7(int n) { return
#ifdef FIXED
	n;
#else
	f8(n + 1) + n;
#endif
}
static __noinline int f6(int n) { return f7(n + 1) + n; }
static __noinline int f5(int n) { return f6(n + 1) + n; }
static __noinline int f4(int n) { return f5(n + 1) + n; }
static __noinline int f3(int n) { return f4(n + 1) + n; }
static __noinline int f2(int n) { return f3(n + 1) + n; }
static __noinline int f1(int n) { return f2(n + 1) + n; }

SEC("xdp") int program(struct xdp_md *ctx)
{
	return f1(ctx->rx_queue_index) ? XDP_PASS : XDP_DROP;
}
