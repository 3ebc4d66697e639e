typedef unsigned int u32; typedef unsigned long long u64;
#define SEC(n) __attribute__((section(n),used))
#define __uint(name,val) int (*name)[val]
#define __type(name,val) typeof(val) *name
struct { __uint(type,1); __uint(max_entries, 16); __type(key,u32); __type(value,u64);} counts SEC(".maps");
static long (*bpf_map_lookup_elem)(void*,const void*) = (void*)1;
u64 total; const volatile u32 rate = 3; int d = 5;
static __attribute__((noinline)) int sub(u32 x){ u64 *v = (void*)bpf_map_lookup_elem(&counts,&x); if (v) {(*v)++; return 1;} return d; }
__attribute__((noinline)) int sub2(u32 x){ total += x; return sub(x) + rate; }
struct xdp_md { u32 data, data_end; };
SEC("xdp") int prog(struct xdp_md *ctx){ total++; return sub2(ctx->data_end - ctx->data) > 1 ? 2 : sub(3); }
char lic[] SEC("license") = "GPL";
