// Sections: every kind of program on packets and sockets that loads without a target.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define PROGRAM(name, section, context, result) \
	SEC(section) int name(struct context *ctx) { return result; }

PROGRAM(a_xdp, "xdp", xdp_md, XDP_PASS)
PROGRAM(b_devmap, "xdp/devmap", xdp_md, XDP_PASS)
PROGRAM(c_cpumap, "xdp/cpumap", xdp_md, XDP_PASS)
PROGRAM(d_frags, "xdp.frags", xdp_md, XDP_PASS)
PROGRAM(e_frags_devmap, "xdp.frags/devmap", xdp_md, XDP_PASS)
PROGRAM(f_frags_cpumap, "xdp.frags/cpumap", xdp_md, XDP_PASS)
PROGRAM(g_tc, "tc", __sk_buff, 0)
PROGRAM(h_classifier, "classifier", __sk_buff, 0)
PROGRAM(i_action, "action", __sk_buff, 0)
PROGRAM(j_socket, "socket", __sk_buff, 0)
PROGRAM(k_lwt_in, "lwt_in", __sk_buff, 0)
PROGRAM(l_lwt_out, "lwt_out", __sk_buff, 0)
PROGRAM(m_lwt_xmit, "lwt_xmit", __sk_buff, 0)
PROGRAM(n_seg6, "lwt_seg6local", __sk_buff, 0)
PROGRAM(o_parser, "sk_skb/stream_parser", __sk_buff, 0)
PROGRAM(p_verdict, "sk_skb/stream_verdict", __sk_buff, SK_PASS)
PROGRAM(q_skb, "sk_skb", __sk_buff, 0)
PROGRAM(r_msg, "sk_msg", sk_msg_md, SK_PASS)
PROGRAM(s_ops, "sockops", bpf_sock_ops, 1)
PROGRAM(t_lookup, "sk_lookup", bpf_sk_lookup, SK_PASS)
PROGRAM(u_reuseport, "sk_reuseport", sk_reuseport_md, SK_PASS)
PROGRAM(v_migrate, "sk_reuseport/migrate", sk_reuseport_md, SK_PASS)
PROGRAM(w_dissector, "flow_dissector", __sk_buff, BPF_OK)
