// Sections that libbpf 1.1 lacks: tcx, netkit, uprobe.multi, sleepable tracepoints, unix sockets.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct bpf_nf_ctx;

SEC("tcx/ingress") int a(struct __sk_buff *ctx) { return 0; }
SEC("tcx/egress") int b(struct __sk_buff *ctx) { return -1; }
SEC("netkit/primary") int c(struct __sk_buff *ctx) { return 0; }
SEC("netkit/peer") int d(struct __sk_buff *ctx) { return 0; }
SEC("tc/ingress") int e(struct __sk_buff *ctx) { return 0; }
SEC("tc/egress") int f(struct __sk_buff *ctx) { return 0; }
SEC("cgroup/connect_unix") int g(struct bpf_sock_addr *ctx) { return 1; }
SEC("cgroup/sendmsg_unix") int h(struct bpf_sock_addr *ctx) { return 1; }
SEC("uprobe.multi//bin/sh:main*") int i(void *ctx) { return 0; }
SEC("uretprobe.multi//bin/sh:main") int j(void *ctx) { return 0; }
SEC("uprobe.multi.s//bin/sh:main") int k(void *ctx) { return 0; }
SEC("netfilter") int l(struct bpf_nf_ctx *ctx) { return 1; }
SEC("usdt.s/libc.so.6:libc:setjmp") int m(void *ctx) { return 0; }
