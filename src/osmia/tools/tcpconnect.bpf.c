// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Who connects sends a SYN: the socket's state says so while the caller's system call runs. */
#include "tcp_states.bpf.h"

struct connecting {
	__u32 pid;
	__u32 uid;
	char process[16];
	__u8 source[16];
	__u8 destination[16];
	__u16 port;
};

EVENTS_ARE(struct connecting);

const volatile __u32 only_pid;
const volatile __u16 only_port;

SEC("tp/sock/inet_sock_set_state")
int changed(struct trace_event_raw_inet_sock_set_state *ctx)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;

	if (ctx->newstate != SYN_SENT || ctx->protocol != TCP)
		return 0;
	if ((only_pid && pid != only_pid) || (only_port && ctx->dport != only_port))
		return 0;
	struct connecting *event = NEW_EVENT(struct connecting);
	if (!event)
		return 0;
	event->pid = pid;
	event->uid = bpf_get_current_uid_gid();
	event->port = ctx->dport;
	bpf_get_current_comm(event->process, sizeof(event->process));
	bpf_core_read(event->source, sizeof(event->source), &ctx->saddr_v6);
	bpf_core_read(event->destination, sizeof(event->destination), &ctx->daddr_v6);
	bpf_ringbuf_submit(event, 0);
	return 0;
}
