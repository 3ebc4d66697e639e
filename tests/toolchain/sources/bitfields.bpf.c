/* Bit fields of the kernel read and written through relocations. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

/* A local copy of a kernel structure has a flavour, so that both can be used. */
struct tcp_sock___osmia {
	u8 nonagle : 4;
	u8 thin_lto : 1;
	u8 repair : 1;
} __attribute__((preserve_access_index));

u64 plain, probed, written;

SEC("raw_tp/tcp_probe")
int BPF_PROG(on_tcp, struct sock *sk)
{
	struct tcp_sock *tp = (void *) sk;

	probed = BPF_CORE_READ_BITFIELD_PROBED(tp, nonagle);
	probed += BPF_CORE_READ_BITFIELD_PROBED((struct tcp_sock___osmia *) tp, repair);
	return 0;
}

SEC("tp_btf/tcp_probe")
int BPF_PROG(on_tcp_typed, struct sock *sk)
{
	plain = BPF_CORE_READ_BITFIELD(sk, sk_kern_sock) + BPF_CORE_READ_BITFIELD(sk, sk_protocol);
	return 0;
}

/* Headers of the program's own, laid out as the kernel has them. */
SEC("socket")
int on_packet(struct __sk_buff *skb)
{
	struct tcphdr tcp = {};
	struct iphdr ip = {};

	BPF_CORE_WRITE_BITFIELD(&ip, version, 4);
	BPF_CORE_WRITE_BITFIELD(&ip, ihl, 0x35);
	BPF_CORE_WRITE_BITFIELD(&tcp, doff, 8);
	BPF_CORE_WRITE_BITFIELD(&tcp, syn, 1);
	BPF_CORE_WRITE_BITFIELD(&tcp, window, 0x1234);
	written = BPF_CORE_READ_BITFIELD(&ip, version);
	written = written << 4 | BPF_CORE_READ_BITFIELD(&ip, ihl);
	written = written << 4 | BPF_CORE_READ_BITFIELD(&tcp, doff);
	written = written << 4 | BPF_CORE_READ_BITFIELD(&tcp, syn);
	written = written << 4 | BPF_CORE_READ_BITFIELD(&tcp, ack);
	written = written << 16 | BPF_CORE_READ_BITFIELD(&tcp, window);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
