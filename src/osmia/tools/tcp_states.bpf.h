/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Sockets' states as they change, which the tracepoint sock:inet_sock_set_state tells since 4.16. */
#include "stream.bpf.h"
#include <bpf/bpf_core_read.h>

/* What is needed of its record; addresses of IPv4 are mapped into IPv6. */
struct trace_event_raw_inet_sock_set_state {
	const void *skaddr;
	int oldstate;
	int newstate;
	__u16 sport;
	__u16 dport;
	__u16 protocol;
	__u8 saddr_v6[16];
	__u8 daddr_v6[16];
} __attribute__((preserve_access_index));

/* Numbers of the kernel's include/net/tcp_states.h, which may not change. */
enum { ESTABLISHED = 1, SYN_SENT = 2, FIN_WAIT1 = 4, CLOSE = 7, LAST_ACK = 9 };
enum { TCP = 6 };
