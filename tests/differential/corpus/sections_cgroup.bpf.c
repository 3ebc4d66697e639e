// Sections: every hook of control groups.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define PROGRAM(name, section, context) \
	SEC("cgroup" section) int name(struct context *ctx) { return 1; }

PROGRAM(a, "_skb/ingress", __sk_buff)
PROGRAM(b, "_skb/egress", __sk_buff)
PROGRAM(c, "/skb", __sk_buff)
PROGRAM(d, "/sock_create", bpf_sock)
PROGRAM(e, "/sock_release", bpf_sock)
PROGRAM(f, "/sock", bpf_sock)
PROGRAM(g, "/post_bind4", bpf_sock)
PROGRAM(h, "/post_bind6", bpf_sock)
PROGRAM(i, "/bind4", bpf_sock_addr)
PROGRAM(j, "/bind6", bpf_sock_addr)
PROGRAM(k, "/connect4", bpf_sock_addr)
PROGRAM(l, "/connect6", bpf_sock_addr)
PROGRAM(m, "/sendmsg4", bpf_sock_addr)
PROGRAM(n, "/sendmsg6", bpf_sock_addr)
PROGRAM(o, "/recvmsg4", bpf_sock_addr)
PROGRAM(p, "/recvmsg6", bpf_sock_addr)
PROGRAM(q, "/getpeername4", bpf_sock_addr)
PROGRAM(r, "/getpeername6", bpf_sock_addr)
PROGRAM(s, "/getsockname4", bpf_sock_addr)
PROGRAM(t, "/getsockname6", bpf_sock_addr)
PROGRAM(u, "/sysctl", bpf_sysctl)
PROGRAM(v, "/getsockopt", bpf_sockopt)
PROGRAM(w, "/setsockopt", bpf_sockopt)
PROGRAM(x, "/dev", bpf_cgroup_dev_ctx)
