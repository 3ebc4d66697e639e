/* C library and UAPI headers that BPF sources include for a constant or a type. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <linux/bpf.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/if_packet.h>
#include <linux/if_vlan.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

_Static_assert(sizeof(uintptr_t) == 8 && sizeof(size_t) == 8 && sizeof(void *) == 8, "64 bits");
_Static_assert(sizeof(uint64_t) == 8 && sizeof(long) == 8, "64 bits");

struct wrapper {
	int first;
	struct inner {
		long value;
	} inner;
};

uint64_t seen;

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	struct sockaddr_in address;
	struct wrapper wrapper = { 1, { 2 } };
	struct inner *inner = &wrapper.inner;

	memset(&address, 0, sizeof(address));
	address.sin_family = AF_INET;
	address.sin_port = bpf_htons(80);
	seen = container_of(inner, struct wrapper, inner)->first + offsetof(struct wrapper, inner);
	if (ctx->user_port == address.sin_port && EPERM == 1)
		return 0;
	return true;
}

char LICENSE[] SEC("license") = "GPL";
